import {
  afterFrame,
  beginSubscription,
  liveCloseCodes,
  type LiveFrame,
  type LiveMessage,
  type LiveSubscription,
} from '../../../src/admin/live/protocol.ts';

// The page's one socket, as rules: what it is in, what happens to it, and what is to be done. The shell is `live-link.ts`.
//
//            started          opened: `hello`          closed
//   resting ─────────► opening ─────────────► open ───────────► waiting ──► opening …
//      ▲                  │ closed              │                  ▲
//      │                  └─────────────────────┼──────────────────┘
//      └── stopped, or hidden for long ─────────┘

/** What a view wants to be told of. */
export interface LinkTopic {
  /** As the server names it. */
  readonly name: string;
  readonly filter?: Readonly<Record<string, unknown>> | undefined;
  /** Whether what was missed can be had after a position; of the others the next snapshot is the truth. */
  readonly isResumable: boolean;
}

/** What a view is told. */
export type LinkNotice =
  | { readonly kind: 'snapshot' | 'delta'; readonly data: unknown }
  /** Nothing was missed; what came in between follows. */
  | { readonly kind: 'resumed' }
  /** Something is not told, and must be loaded. */
  | { readonly kind: 'gap' }
  /** The server has ended the subscription; it is asked for again in a while. */
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  /** There is no connection. */
  | { readonly kind: 'down' };

type LinkPhase =
  | { readonly kind: 'resting' }
  | { readonly kind: 'opening'; readonly since: number }
  | { readonly kind: 'open'; readonly since: number; readonly heardAt: number }
  | { readonly kind: 'waiting'; readonly until: number };

interface LinkSubscription {
  readonly topic: LinkTopic;
  /** Null: not asked for on this connection. */
  readonly asked: LiveSubscription | null;
  /** Where to go on, over connections. */
  readonly position: string | null;
  /** Ends of it by the server, one after the other. */
  readonly failures: number;
  /** When it is asked for again after such an end. */
  readonly retryAt: number | null;
}

/** The socket, as the rules see it. */
export interface LinkState {
  readonly phase: LinkPhase;
  /** Whether somebody is logged in. */
  readonly isWanted: boolean;
  readonly hiddenSince: number | null;
  /** Let go because the page was hidden for long. */
  readonly isAsleep: boolean;
  /** Connections that did not last, one after the other. */
  readonly failures: number;
  /** Tries that did not even open, one after the other. */
  readonly unopened: number;
  readonly hasBeenOpen: boolean;
  /** Since when there is none, though one is wanted. */
  readonly brokenSince: number | null;
  readonly subscriptions: ReadonlyMap<string, LinkSubscription>;
}

/** What happens to it. `random` is in [0, 1). */
export type LinkInput =
  | { readonly type: 'started' | 'stopped' }
  | { readonly type: 'subscribed'; readonly id: string; readonly topic: LinkTopic }
  | { readonly type: 'unsubscribed'; readonly id: string }
  | { readonly type: 'frame'; readonly frame: LiveFrame; readonly random: number }
  /** The socket ended, or could not be opened. */
  | { readonly type: 'closed'; readonly code: number; readonly random: number }
  | { readonly type: 'timer'; readonly random: number }
  | { readonly type: 'hidden' | 'shown' };

/** What is done for it, in order. */
export type LinkEffect =
  | { readonly type: 'open' }
  | { readonly type: 'send'; readonly message: LiveMessage }
  | { readonly type: 'close' }
  | { readonly type: 'tell'; readonly id: string; readonly notice: LinkNotice }
  /** The credential has ended: ask who is logged in. */
  | { readonly type: 'loggedOut' };

/** What the head of the page says of it. */
export type LinkStatus = 'off' | 'connecting' | 'live' | 'reconnecting' | 'polling' | 'asleep';

/** How long a hidden page keeps its socket. */
export const keptWhileHiddenMs = 60_000;
/** Tries that fail before the page asks again and again instead. */
export const mostUnopened = 3;
/** The server pings every 20 seconds. */
const mostSilentMs = 45_000;
const openTimeoutMs = 8_000;
/** A connection that lasted so long was a good one: the next backoff begins anew. */
const steadyMs = 5_000;
const backoffMs = { first: 400, most: 15_000 } as const;
const retryMs = { first: 500, most: 5_000 } as const;

/** Before anybody is logged in. */
export const noLink: LinkState = {
  phase: { kind: 'resting' },
  isWanted: false,
  hiddenSince: null,
  isAsleep: false,
  failures: 0,
  unopened: 0,
  hasBeenOpen: false,
  brokenSince: null,
  subscriptions: new Map(),
};

/** What to say of the socket. */
export function statusOf(state: LinkState): LinkStatus {
  if (!state.isWanted) return 'off';
  if (state.phase.kind === 'open') return 'live';
  if (state.isAsleep) return 'asleep';
  if (state.unopened >= mostUnopened) return 'polling';
  return state.hasBeenOpen ? 'reconnecting' : 'connecting';
}

/** When the next `timer` is due; null: never, as things are. */
export function dueAt({ phase, hiddenSince, subscriptions }: LinkState): number | null {
  const times: number[] = [];
  if (phase.kind === 'waiting') times.push(phase.until);
  if (phase.kind === 'opening') times.push(phase.since + openTimeoutMs);
  if (phase.kind === 'open') {
    times.push(phase.heardAt + mostSilentMs);
    for (const { retryAt } of subscriptions.values()) if (retryAt !== null) times.push(retryAt);
  }
  if (hiddenSince !== null && phase.kind !== 'resting') times.push(hiddenSince + keptWhileHiddenMs);
  return times.length === 0 ? null : Math.min(...times);
}

/**
 * Delay before the next try: capped exponential backoff, of which the second half is by chance, so that the pages of a server that
 * restarts do not come all at once.
 */
export function backoffDelayMs(
  failures: number,
  random: number,
  { first, most }: { readonly first: number; readonly most: number } = backoffMs,
): number {
  const cap = Math.min(most, first * 2 ** Math.min(failures - 1, 16));
  return cap / 2 + (cap / 2) * random;
}

/** The socket after an input, and what is to be done. Pure. */
export function afterLinkInput(
  state: LinkState,
  input: LinkInput,
  now: number,
): readonly [LinkState, readonly LinkEffect[]] {
  switch (input.type) {
    case 'started':
      return state.isWanted ? [state, []] : opening({ ...state, isWanted: true, brokenSince: now }, now);
    case 'stopped':
      return [{ ...noLink, subscriptions: unasked(state), hiddenSince: state.hiddenSince }, letGo(state)];
    case 'subscribed': {
      const subscription = { topic: input.topic, asked: null, position: null, failures: 0, retryAt: null };
      const next = withSubscription(state, input.id, subscription);
      return state.phase.kind === 'open' ? asking(next, [input.id]) : [next, []];
    }
    case 'unsubscribed': {
      const subscriptions = new Map(state.subscriptions);
      const known = subscriptions.get(input.id);
      subscriptions.delete(input.id);
      const isTold =
        state.phase.kind === 'open' && known !== undefined && known.asked !== null && known.asked.phase !== 'ended';
      const message = { type: 'unsubscribe', id: input.id } as const;
      return [{ ...state, subscriptions }, isTold ? [{ type: 'send', message }] : []];
    }
    case 'frame':
      return afterServerFrame(state, input.frame, now, input.random);
    case 'closed':
      return closed(state, input.code, now, input.random);
    case 'timer':
      return afterTimer(state, now, input.random);
    case 'hidden':
      return [{ ...state, hiddenSince: state.hiddenSince ?? now }, []];
    case 'shown': {
      const shown = { ...state, hiddenSince: null, isAsleep: false };
      if (!state.isWanted || state.phase.kind === 'open' || state.phase.kind === 'opening') return [shown, []];
      // Whoever looks again waits for no backoff.
      return opening({ ...shown, brokenSince: state.brokenSince ?? now }, now);
    }
    default:
      return input satisfies never;
  }
}

function afterServerFrame(
  state: LinkState,
  frame: LiveFrame,
  now: number,
  random: number,
): readonly [LinkState, readonly LinkEffect[]] {
  if (frame.type === 'hello') {
    const phase = { kind: 'open', since: now, heardAt: now } as const;
    const open: LinkState = { ...state, phase, unopened: 0, hasBeenOpen: true, brokenSince: null };
    return asking(open, [...open.subscriptions.keys()]);
  }
  if (state.phase.kind !== 'open') return [state, []];
  const heard: LinkState = { ...state, phase: { ...state.phase, heardAt: now } };
  if (frame.type === 'ping' || frame.id === null) return [heard, []];
  const { id } = frame;
  const known = heard.subscriptions.get(id);
  // What was unsubscribed, and its last words.
  if (known === undefined || known.asked === null || frame.type === 'unsubscribed') return [heard, []];
  let asked: LiveSubscription;
  try {
    asked = afterFrame(known.asked, frame);
  } catch {
    // A frame that cannot come now: something was lost, or came twice. The place up to which all is known is kept.
    const [next, effects] = closed(heard, 0, now, random);
    return [next, [{ type: 'close' }, ...effects]];
  }
  switch (frame.type) {
    case 'snapshot':
    case 'delta': {
      const position = asked.position ?? known.position;
      const next = { ...known, asked, position, failures: 0, retryAt: null };
      return [
        withSubscription(heard, id, next),
        [{ type: 'tell', id, notice: { kind: frame.type, data: frame.data } }],
      ];
    }
    case 'resumed':
    case 'gap': {
      const next = { ...known, asked, position: asked.position, failures: 0, retryAt: null };
      return [withSubscription(heard, id, next), [{ type: 'tell', id, notice: { kind: frame.type } }]];
    }
    case 'error': {
      const { code, message } = frame;
      // Its place is gone: from now on, and what lies between is loaded.
      if (known.position !== null && (code === 'RESUME_TOO_OLD' || code === 'RESUME_INVALID')) {
        return asking(withSubscription(heard, id, { ...known, asked: null, position: null }), [id]);
      }
      const failures = known.failures + 1;
      const retryAt = now + backoffDelayMs(failures, random, retryMs);
      return [
        withSubscription(heard, id, { ...known, asked, failures, retryAt }),
        [{ type: 'tell', id, notice: { kind: 'failed', code, message } }],
      ];
    }
    default:
      return frame satisfies never;
  }
}

function afterTimer(state: LinkState, now: number, random: number): readonly [LinkState, readonly LinkEffect[]] {
  const { phase, hiddenSince } = state;
  if (hiddenSince !== null && now >= hiddenSince + keptWhileHiddenMs && phase.kind !== 'resting') {
    const asleep: LinkState = { ...state, phase: { kind: 'resting' }, isAsleep: true, subscriptions: unasked(state) };
    return [asleep, letGo(state)];
  }
  switch (phase.kind) {
    case 'waiting':
      return now >= phase.until ? opening(state, now) : [state, []];
    case 'opening':
      return now >= phase.since + openTimeoutMs ? broken(state, now, random) : [state, []];
    case 'open': {
      if (now >= phase.heardAt + mostSilentMs) return broken(state, now, random);
      const due = [...state.subscriptions].filter(([, { retryAt }]) => retryAt !== null && now >= retryAt);
      return due.length === 0
        ? [state, []]
        : asking(
            state,
            due.map(([id]) => id),
          );
    }
    default:
      return [state, []];
  }
}

function broken(state: LinkState, now: number, random: number): readonly [LinkState, readonly LinkEffect[]] {
  const [next, effects] = closed(state, 0, now, random);
  return [next, [{ type: 'close' }, ...effects]];
}

function opening(state: LinkState, now: number): readonly [LinkState, readonly LinkEffect[]] {
  return [{ ...state, phase: { kind: 'opening', since: now } }, [{ type: 'open' }]];
}

function closed(
  state: LinkState,
  code: number,
  now: number,
  random: number,
): readonly [LinkState, readonly LinkEffect[]] {
  const { phase } = state;
  if (phase.kind !== 'open' && phase.kind !== 'opening') return [state, []];
  const told = downNotices(state);
  const subscriptions = unasked(state);
  if (code === liveCloseCodes.unauthenticated) {
    return [{ ...noLink, subscriptions, hiddenSince: state.hiddenSince }, [...told, { type: 'loggedOut' }]];
  }
  const hasLasted = phase.kind === 'open' && now - phase.since >= steadyMs;
  const failures = hasLasted ? 1 : state.failures + 1;
  return [
    {
      ...state,
      phase: { kind: 'waiting', until: now + backoffDelayMs(failures, random) },
      failures,
      unopened: phase.kind === 'open' ? 0 : state.unopened + 1,
      brokenSince: state.brokenSince ?? now,
      subscriptions,
    },
    told,
  ];
}

/** Asks for subscriptions, each from its place on where it has one. */
function asking(state: LinkState, ids: readonly string[]): readonly [LinkState, readonly LinkEffect[]] {
  const subscriptions = new Map(state.subscriptions);
  const effects: LinkEffect[] = [];
  for (const id of ids) {
    const known = subscriptions.get(id);
    if (known === undefined) continue;
    const { topic } = known;
    const position = topic.isResumable ? known.position : null;
    subscriptions.set(id, { ...known, asked: beginSubscription(position), position, retryAt: null });
    const message: LiveMessage = {
      type: 'subscribe',
      id,
      topic: topic.name,
      ...(topic.filter === undefined ? {} : { filter: topic.filter }),
      ...(position === null ? {} : { resumeFrom: position }),
      ...(topic.isResumable ? { allowGap: true } : {}),
    };
    effects.push({ type: 'send', message });
  }
  return [{ ...state, subscriptions }, effects];
}

function letGo(state: LinkState): readonly LinkEffect[] {
  return state.phase.kind === 'resting' ? [] : [{ type: 'close' }, ...downNotices(state)];
}

function downNotices({ phase, subscriptions }: LinkState): readonly LinkEffect[] {
  if (phase.kind !== 'open') return [];
  return [...subscriptions.keys()].map((id) => ({ type: 'tell', id, notice: { kind: 'down' } }));
}

function unasked({ subscriptions }: LinkState): ReadonlyMap<string, LinkSubscription> {
  return new Map([...subscriptions].map(([id, known]) => [id, { ...known, asked: null, retryAt: null }]));
}

function withSubscription(state: LinkState, id: string, subscription: LinkSubscription): LinkState {
  return { ...state, subscriptions: new Map(state.subscriptions).set(id, subscription) };
}
