import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  extendedLease,
  isGoodForMs,
  leaseGoodUntilMs,
  leaseMarginPart,
  leasePhase,
  mayStartDriver,
  nextPhaseAtMs,
} from '../../../src/cluster/lease-clock.ts';

const spans = { abortGraceMs: 5_000, startHeadroomMs: 1_000 };
const instants = fc.integer({ min: 0, max: 1_000_000 });
const ttls = fc.integer({ min: 2_000, max: 120_000 });

describe('lease clock', () => {
  it('counts from before the renewal was sent, and leaves a fifth of the life unused', () => {
    expect(leaseGoodUntilMs({ sentAtMs: 1_000, ttlMs: 20_000 })).toBe(17_000);
  });

  it('is never good without a lease', () => {
    expect(isGoodForMs(null, 0, 0)).toBe(false);
    expect(leasePhase(null, 0, spans)).toBe('ended');
    expect(mayStartDriver(null, 0, spans)).toBe(false);
    expect(nextPhaseAtMs(null, 0, spans)).toBeNull();
  });

  it('R-LOCK-2: stops starting first, then stops what runs, then gives the shards up', () => {
    const goodUntilMs = 16_000;
    expect(mayStartDriver(goodUntilMs, 9_999, spans)).toBe(true);
    expect(mayStartDriver(goodUntilMs, 10_000, spans)).toBe(false);
    expect(leasePhase(goodUntilMs, 10_999, spans)).toBe('good');
    expect(leasePhase(goodUntilMs, 11_000, spans)).toBe('closing');
    expect(leasePhase(goodUntilMs, 15_999, spans)).toBe('closing');
    expect(leasePhase(goodUntilMs, 16_000, spans)).toBe('ended');
  });

  it('tells when to look again', () => {
    expect(nextPhaseAtMs(16_000, 0, spans)).toBe(11_000);
    expect(nextPhaseAtMs(16_000, 11_000, spans)).toBe(16_000);
    expect(nextPhaseAtMs(16_000, 16_000, spans)).toBeNull();
  });

  it('is not shortened by the late answer to an earlier renewal', () => {
    const first = { sentAtMs: 0, ttlMs: 20_000 };
    const second = { sentAtMs: 5_000, ttlMs: 20_000 };
    expect(extendedLease(extendedLease(null, second), first)).toBe(extendedLease(extendedLease(null, first), second));
  });

  it('R-LOCK-2: for any delay and a drift up to the margin, the holder gives up before the server lets another in', () => {
    const maximumDrift = leaseMarginPart - 0.001;
    fc.assert(
      fc.property(
        instants,
        ttls,
        fc.integer({ min: 0, max: 60_000 }),
        fc.double({ min: -maximumDrift, max: maximumDrift, noNaN: true }),
        (sentAtMs, ttlMs, delayMs, drift) => {
          // By true time: the request is sent at 0, arrives after the delay, and the server counts the life from there.
          const expiresMs = delayMs + ttlMs;
          // The holder's clock runs faster or slower by the drift.
          const holderMs = (trueMs: number): number => sentAtMs + trueMs * (1 + drift);
          const goodUntilMs = leaseGoodUntilMs({ sentAtMs, ttlMs });
          expect(leasePhase(goodUntilMs, holderMs(expiresMs) + 1e-6, spans)).toBe('ended');
        },
      ),
    );
  });

  it('has phases that only follow each other while no renewal comes, each change at the instant told', () => {
    const order = ['good', 'closing', 'ended'];
    fc.assert(
      fc.property(instants, ttls, fc.nat(60_000), fc.nat(60_000), (sentAtMs, ttlMs, firstMs, laterMs) => {
        const goodUntilMs = leaseGoodUntilMs({ sentAtMs, ttlMs });
        const nowMs = sentAtMs + firstMs;
        const phase = leasePhase(goodUntilMs, nowMs, spans);
        const later = leasePhase(goodUntilMs, nowMs + laterMs, spans);
        expect(order.indexOf(later)).toBeGreaterThanOrEqual(order.indexOf(phase));
        const changeMs = nextPhaseAtMs(goodUntilMs, nowMs, spans);
        if (changeMs === null) expect(phase).toBe('ended');
        else expect(leasePhase(goodUntilMs, changeMs, spans)).not.toBe(phase);
        if (mayStartDriver(goodUntilMs, nowMs, spans)) expect(phase).toBe('good');
      }),
    );
  });
});
