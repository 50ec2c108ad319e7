import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  detectorDefaults as policy,
  newPeer,
  observePeer,
  type PeerEvent,
  type PeerState,
} from '../../../src/cluster/failure-detector.ts';

/** How a peer treats a request that reaches it at an instant: answers, leaves it open, or has no connection any more. */
type PeerConduct = (atMs: number) => 'answers' | 'silent' | 'refused';

interface Observation {
  readonly state: PeerState;
  readonly atMs: number;
}

/**
 * The shell of the detector in virtual time: one request at a time, each half a round trip on its way. A request that is under
 * way when the peer is killed is not refused: nobody answers it.
 */
function watch(conduct: PeerConduct, options: { untilMs: number; roundTripMs?: number }): readonly Observation[] {
  const { untilMs, roundTripMs = 2 } = options;
  const observations: Observation[] = [];
  let state = newPeer(0);
  while (state.nextCheckAtMs !== null && state.nextCheckAtMs <= untilMs) {
    const sentAtMs = state.nextCheckAtMs;
    const event = answerTo(conduct, sentAtMs, roundTripMs);
    state = observePeer(policy, state, event);
    observations.push({ state, atMs: event.atMs });
  }
  return observations;
}

function answerTo(conduct: PeerConduct, sentAtMs: number, roundTripMs: number): PeerEvent {
  const arrivesAtMs = sentAtMs + roundTripMs / 2;
  const atSending = conduct(sentAtMs);
  if (atSending === 'refused') return { type: 'heartbeat.refused', sentAtMs, atMs: sentAtMs + roundTripMs };
  if (conduct(arrivesAtMs) === 'answers') {
    return { type: 'heartbeat.answered', sentAtMs, atMs: sentAtMs + roundTripMs };
  }
  return { type: 'heartbeat.timedOut', sentAtMs, atMs: sentAtMs + policy.heartbeatTimeoutMs };
}

function firstDownMs(observations: readonly Observation[]): number {
  return observations.find(({ state }) => state.status === 'down')?.atMs ?? Number.POSITIVE_INFINITY;
}

const answered = (sentAtMs: number, atMs = sentAtMs + 1): PeerEvent => ({
  type: 'heartbeat.answered',
  sentAtMs,
  atMs,
});
const refused = (sentAtMs: number, atMs = sentAtMs + 1): PeerEvent => ({ type: 'heartbeat.refused', sentAtMs, atMs });
const timedOut = (sentAtMs: number, atMs = sentAtMs + policy.heartbeatTimeoutMs): PeerEvent => ({
  type: 'heartbeat.timedOut',
  sentAtMs,
  atMs,
});

function after(...events: readonly PeerEvent[]): PeerState {
  return events.reduce((state, event) => observePeer(policy, state, event), newPeer(0));
}

describe('observePeer: an observer without a link', () => {
  const cutOff = (sentAtMs: number): PeerEvent => ({ type: 'heartbeat.cutOff', sentAtMs, atMs: sentAtMs });

  it('R-LOCK-2: suspects nobody, and what it suspected before is forgotten', () => {
    expect(after(cutOff(0), cutOff(300))).toEqual({ status: 'alive', nextCheckAtMs: 600 });
    expect(after(timedOut(0), timedOut(500), timedOut(1_000), cutOff(1_500))).toEqual({
      status: 'alive',
      nextCheckAtMs: 1_800,
    });
  });

  it('brings nobody back that it held to be down', () => {
    const down: PeerState = { status: 'down', sinceMs: 5, why: 'silent', nextCheckAtMs: 10 };
    expect(observePeer(policy, down, cutOff(10))).toEqual({ ...down, nextCheckAtMs: 310 });
    const gone: PeerState = { status: 'down', sinceMs: 5, why: 'leaseGone', nextCheckAtMs: null };
    expect(observePeer(policy, gone, cutOff(10))).toBe(gone);
  });
});

describe('observePeer: how fast', () => {
  it('R-WRK-2: a killed process is down in under 1 s, whatever the phase of the heartbeat and up to 20 ms of round trip', () => {
    let worstMs = 0;
    for (const roundTripMs of [1, 2, 20]) {
      for (let killedAtMs = 3_000; killedAtMs < 3_650; killedAtMs += 1) {
        const observations = watch((atMs) => (atMs < killedAtMs ? 'answers' : 'refused'), {
          untilMs: 10_000,
          roundTripMs,
        });
        worstMs = Math.max(worstMs, firstDownMs(observations) - killedAtMs);
      }
    }
    expect(worstMs).toBeLessThan(1_000);
    expect(worstMs).toBeGreaterThan(700);
  });

  it('R-WRK-2: a frozen process is down in under 6 s, whatever the phase', () => {
    let worstMs = 0;
    for (let frozenAtMs = 3_000; frozenAtMs < 3_650; frozenAtMs += 1) {
      const observations = watch((atMs) => (atMs < frozenAtMs ? 'answers' : 'silent'), { untilMs: 20_000 });
      worstMs = Math.max(worstMs, firstDownMs(observations) - frozenAtMs);
    }
    expect(worstMs).toBeLessThan(4_500);
    expect(worstMs).toBeGreaterThan(3_500);
  });

  it('a process that freezes and then dies is down within 1.2 s of its death', () => {
    for (let deadAtMs = 3_100; deadAtMs < 6_000; deadAtMs += 7) {
      const observations = watch((atMs) => (atMs < 3_000 ? 'answers' : atMs < deadAtMs ? 'silent' : 'refused'), {
        untilMs: 20_000,
      });
      expect(firstDownMs(observations) - deadAtMs).toBeLessThan(1_200);
    }
  });

  it('an own child that exits and a lease that is gone are down at once, from any state', () => {
    const states = [newPeer(0), after(refused(0)), after(timedOut(0), timedOut(500))];
    for (const state of states) {
      expect(observePeer(policy, state, { type: 'child.exited', atMs: 900 })).toEqual({
        status: 'down',
        sinceMs: 900,
        why: 'childExited',
        nextCheckAtMs: null,
      });
      expect(observePeer(policy, state, { type: 'lease.gone', atMs: 900 })).toMatchObject({ why: 'leaseGone' });
    }
  });
});

describe('observePeer: how careful', () => {
  it('a pause of up to 3.5 s, as of a garbage collection or a driver that blocks, moves nothing, and the peer is alive again', () => {
    for (let pausedAtMs = 1_000; pausedAtMs < 1_310; pausedAtMs += 3) {
      for (const pauseMs of [100, 600, 1_300, 2_500, 3_500]) {
        const observations = watch(
          (atMs) => (atMs >= pausedAtMs && atMs < pausedAtMs + pauseMs ? 'silent' : 'answers'),
          { untilMs: 8_000 },
        );
        expect(firstDownMs(observations)).toBe(Number.POSITIVE_INFINITY);
        expect(observations.at(-1)?.state.status).toBe('alive');
      }
    }
  });

  it('a connection that comes back within a quarter of a second moves nothing', () => {
    for (let cutAtMs = 1_000; cutAtMs < 1_310; cutAtMs += 3) {
      const observations = watch((atMs) => (atMs >= cutAtMs && atMs < cutAtMs + 250 ? 'refused' : 'answers'), {
        untilMs: 4_000,
      });
      expect(firstDownMs(observations)).toBe(Number.POSITIVE_INFINITY);
    }
  });

  it('suspects at the first failure and checks again at once, then 250 ms apart', () => {
    const suspect = after(refused(300));
    expect(suspect).toMatchObject({ status: 'suspect', sinceMs: 301, nextCheckAtMs: 301, downFromMs: null });
    const once = observePeer(policy, suspect, refused(301));
    expect(once).toMatchObject({ failures: 1, nextCheckAtMs: 551, downFromMs: null });
    const twice = observePeer(policy, once, refused(551));
    expect(twice).toMatchObject({ failures: 2, nextCheckAtMs: 702, downFromMs: 702 });
    expect(observePeer(policy, twice, refused(702))).toMatchObject({ status: 'down', why: 'refused', sinceMs: 703 });
  });

  it('needs a check sent after the grace to fail: an answer to it saves the peer', () => {
    const confirmed = after(refused(0), refused(1), refused(251));
    expect(confirmed).toMatchObject({ status: 'suspect', downFromMs: 402 });
    expect(observePeer(policy, confirmed, refused(401))).toMatchObject({ status: 'suspect' });
    expect(observePeer(policy, confirmed, answered(402)).status).toBe('alive');
  });

  it('forgets a suspicion entirely when the peer answers', () => {
    const state = after(timedOut(0), timedOut(500), answered(1_000), refused(1_300));
    expect(state).toMatchObject({ status: 'suspect', failures: 0, refusals: 0, downFromMs: null });
  });

  it('takes no short grace for refusals that an open request stands between', () => {
    const state = after(refused(0), refused(1), timedOut(251), refused(751));
    expect(state).toMatchObject({ status: 'suspect', refusals: 1, downFromMs: 751 + policy.silentGraceMs });
  });

  it('holds a timeout noticed late against itself and not against the peer', () => {
    const lateMs = policy.heartbeatTimeoutMs + policy.maximumLagMs + 1;
    expect(after(timedOut(0, lateMs))).toEqual({ status: 'alive', nextCheckAtMs: lateMs });
    const confirmed = after(timedOut(0), timedOut(500), timedOut(1_000));
    const woken = observePeer(policy, confirmed, timedOut(1_500, 60_000));
    expect(woken).toEqual({ ...confirmed, nextCheckAtMs: 60_000 });
    expect(observePeer(policy, woken, answered(60_000)).status).toBe('alive');
  });

  it('takes a listed lease for nothing: it outlives its node', () => {
    for (const state of [newPeer(0), after(refused(0)), after(refused(0), refused(1), refused(251), refused(402))]) {
      expect(observePeer(policy, state, { type: 'lease.listed', atMs: 500 })).toBe(state);
    }
  });
});

describe('observePeer: coming back', () => {
  it('a frozen peer that answers again is alive, and is asked until then', () => {
    const down = after(refused(0), refused(1), refused(251), refused(402));
    expect(down).toMatchObject({ status: 'down', nextCheckAtMs: 703 });
    const still = observePeer(policy, down, refused(703));
    expect(still).toEqual({ ...down, nextCheckAtMs: 1_003 });
    expect(observePeer(policy, still, answered(1_003))).toEqual({ status: 'alive', nextCheckAtMs: 1_303 });
  });

  it('R-LOCK-2: an incarnation whose lease is gone or whose process has exited never comes back', () => {
    for (const type of ['lease.gone', 'child.exited'] as const) {
      const down = after({ type, atMs: 10 });
      const events: readonly PeerEvent[] = [
        answered(20),
        refused(20),
        timedOut(20),
        { type: 'lease.listed', atMs: 20 },
        { type: 'lease.gone', atMs: 20 },
        { type: 'child.exited', atMs: 20 },
      ];
      for (const event of events) expect(observePeer(policy, down, event)).toBe(down);
    }
  });

  it('a peer that was found down by its silence is down for good once its lease is gone', () => {
    const down = after(refused(0), refused(1), refused(251), refused(402), { type: 'lease.gone', atMs: 20_000 });
    expect(down).toEqual({ status: 'down', sinceMs: 20_000, why: 'leaseGone', nextCheckAtMs: null });
  });

  it('for any conduct of the peer there is always a next check, never in the past, until it is gone for good', () => {
    const outcomes = fc.array(fc.constantFrom('answers', 'silent', 'refused'), { minLength: 1, maxLength: 80 });
    fc.assert(
      fc.property(outcomes, (conducts) => {
        let state = newPeer(0);
        let failuresInRow = 0;
        for (const conduct of conducts) {
          const sentAtMs = state.nextCheckAtMs ?? Number.NaN;
          const event =
            conduct === 'answers' ? answered(sentAtMs) : conduct === 'silent' ? timedOut(sentAtMs) : refused(sentAtMs);
          state = observePeer(policy, state, event);
          failuresInRow = conduct === 'answers' ? 0 : failuresInRow + 1;
          expect(state.nextCheckAtMs).toBeGreaterThanOrEqual(event.atMs);
          // One check raises the suspicion, two confirm it, and one more must fail after the grace.
          if (failuresInRow < policy.confirmations + 2) expect(state.status).not.toBe('down');
          if (failuresInRow === 0) expect(state.status).toBe('alive');
        }
      }),
    );
  });
});
