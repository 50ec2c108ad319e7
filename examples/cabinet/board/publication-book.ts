import type { LogEntry, PublishFence } from './publication-log.ts';

/** A publish that was asked for, checked and hashed. */
export interface PublishOrder {
  readonly key: string;
  readonly bodyHash: string;
  readonly cardId: string;
  readonly fence: PublishFence;
  readonly card: unknown;
}

/** What the board does about an order. */
export type PublishDecision =
  /** Write the entry, then answer with its publication. */
  | { readonly kind: 'apply'; readonly entry: LogEntry & { readonly type: 'applied' } }
  /** Answer as the first time. `raise`, if any, is written before the answer. */
  | { readonly kind: 'replay'; readonly publicationId: string; readonly raise: LogEntry | null }
  | {
      readonly kind: 'refuse';
      readonly status: 409 | 422;
      readonly code: 'FENCE_STALE' | 'KEY_REUSED';
      readonly message: string;
    };

/** What the board knows, rebuilt from its log at each start. Decides; writes nothing. */
export class PublicationBook {
  readonly #byKey = new Map<string, { readonly publicationId: string; readonly bodyHash: string }>();
  readonly #fences = new Map<string, PublishFence>();
  #applied = 0;

  constructor(entries: readonly LogEntry[] = []) {
    for (const entry of entries) this.remember(entry);
  }

  /** How many publications there are. */
  get applied(): number {
    return this.#applied;
  }

  /** The publication of a key, if any. */
  find(key: string): string | null {
    return this.#byKey.get(key)?.publicationId ?? null;
  }

  /**
   * What to do about an order. A known key comes first: to answer it again changes nothing, so an old owner may have it too.
   * Only a new effect asks for a fence that is not older than the card's.
   */
  decide(order: PublishOrder, at: string): PublishDecision {
    const known = this.#byKey.get(order.key);
    const newest = this.#fences.get(fenceKey(order.cardId, order.fence.shard));
    if (known !== undefined) {
      if (known.bodyHash !== order.bodyHash) {
        const message = `the key was used for ${known.publicationId} with another body`;
        return { kind: 'refuse', status: 422, code: 'KEY_REUSED', message };
      }
      const isNewer = newest !== undefined && compareFences(order.fence, newest) > 0;
      const raise: LogEntry | null = isNewer ? { type: 'fenceRaised', cardId: order.cardId, fence: order.fence } : null;
      return { kind: 'replay', publicationId: known.publicationId, raise };
    }
    if (newest !== undefined && compareFences(order.fence, newest) < 0) {
      const message = `card ${order.cardId}: fence ${showFence(order.fence)} is older than ${showFence(newest)}`;
      return { kind: 'refuse', status: 409, code: 'FENCE_STALE', message };
    }
    const publicationId = `p-${this.#applied + 1}`;
    return { kind: 'apply', entry: { type: 'applied', publicationId, at, ...order } };
  }

  /** Takes an entry into account, before it is on disk: whoever comes next must not be applied beside it. */
  remember(entry: LogEntry): void {
    const key = fenceKey(entry.cardId, entry.fence.shard);
    const newest = this.#fences.get(key);
    if (newest === undefined || compareFences(entry.fence, newest) > 0) this.#fences.set(key, entry.fence);
    if (entry.type === 'fenceRaised') return;
    this.#byKey.set(entry.key, { publicationId: entry.publicationId, bodyHash: entry.bodyHash });
    this.#applied += 1;
  }
}

/** Negative when the first fence is older, 0 when they are one, positive when it is newer. Of one shard only. */
export function compareFences(one: PublishFence, other: PublishFence): number {
  return one.epoch === other.epoch ? one.sequence - other.sequence : one.epoch - other.epoch;
}

/** How many cards the log shows more than once, each counted as often as it is too many: real harm. */
export function countDuplicateEffects(entries: readonly LogEntry[]): number {
  const applied = entries.filter((entry) => entry.type === 'applied');
  return applied.length - new Set(applied.map((entry) => entry.cardId)).size;
}

function fenceKey(cardId: string, shard: number): string {
  return `${shard} ${cardId}`;
}

function showFence(fence: PublishFence): string {
  return `(${fence.epoch}, ${fence.sequence})`;
}
