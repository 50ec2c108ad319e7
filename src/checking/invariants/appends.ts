import type { AppendEvent } from '../history-events.ts';
import type { Invariant } from '../invariant.ts';
import type { Claim, Story } from '../story.ts';

/** The only legal reading of an append's answer: what may be concluded from it, and what may be done after it. */
export const appendInvariants: readonly Invariant[] = [
  {
    id: 'A1',
    title: 'an append that was acknowledged stands in the journal, where the answer says',
    needs: ['journal', 'appends'],
    *check(story) {
      const claims = supersessions(story);
      for (const event of story.eventsOf('append')) {
        if (event.outcome !== 'committed' || isSuperseded(claims, event)) continue;
        const entry = story.batchOf(event.shard, event.epoch, event.batch);
        if (entry === undefined) {
          yield { says: `${nameOf(event)} was acknowledged and is not in the journal`, events: [event] };
        } else if (event.sequence !== undefined && entry.sequence !== event.sequence) {
          yield {
            says: `${nameOf(event)} was acknowledged at ${event.sequence} and stands at ${entry.sequence}`,
            sequences: [entry.sequence],
            events: [event],
          };
        }
      }
    },
  },
  {
    id: 'A2',
    title: 'every message of the journal is one that a node appended, on the condition that the store kept',
    needs: ['journal', 'appends'],
    *check(story) {
      const conditions = new Map<string, Set<number>>();
      for (const { shard, epoch, batch, expectedLast } of story.eventsOf('append')) {
        const name = `${shard}/${epoch}/${batch}`;
        const known = conditions.get(name);
        if (known === undefined) conditions.set(name, new Set([expectedLast]));
        else known.add(expectedLast);
      }
      for (const { shard, sequence, previous, commit } of story.history.entries) {
        if (commit === null) continue;
        const { epoch, batch } = commit;
        const tried = conditions.get(`${shard}/${epoch}/${batch}`);
        const name = `batch ${batch} of epoch ${epoch} of shard ${shard}`;
        if (tried === undefined) yield { says: `${name} was appended by nobody`, sequences: [sequence] };
        else if (previous !== undefined && !tried.has(previous)) {
          yield {
            says: `${name} was stored after ${previous}, on which it was never conditioned`,
            sequences: [sequence],
          };
        }
      }
    },
  },
  {
    id: 'A3',
    title: 'an owner that was refused by a newer epoch appends nothing more: a conflict is never tried again',
    needs: ['journal', 'appends'],
    *check(story) {
      const claims = supersessions(story);
      const refused = new Map<string, AppendEvent>();
      for (const event of story.eventsOf('append')) {
        const owner = `${event.node} ${event.incarnation} ${event.shard}/${event.epoch}`;
        const before = refused.get(owner);
        if (before?.answeredAt !== undefined && event.sentAt > (before.answeredAt ?? Infinity)) {
          yield { says: `${nameOf(event)} was sent after ${event.node} had been refused`, events: [before, event] };
        }
        if (before === undefined && event.outcome === 'conflict' && isSuperseded(claims, event))
          refused.set(owner, event);
      }
    },
  },
  {
    id: 'I17',
    title: 'an append that was sent after a newer epoch had begun is never acknowledged',
    needs: ['journal', 'appends'],
    *check(story) {
      const claims = supersessions(story);
      for (const event of story.eventsOf('append')) {
        if (event.outcome !== 'committed' || !isSuperseded(claims, event)) continue;
        // An earlier try may have been stored in time; its repeat is told so.
        const entry = story.batchOf(event.shard, event.epoch, event.batch);
        const newer = claims.get(`${event.shard}/${event.epoch}`);
        if (entry !== undefined && newer !== undefined && entry.sequence < newer.sequence) continue;
        yield {
          says: `${nameOf(event)} was acknowledged after epoch ${newer?.epoch} had begun`,
          sequences: newer === undefined ? [] : [newer.sequence],
          events: [event],
        };
      }
    },
  },
  {
    id: 'I39',
    title: 'no owner goes past an append before its outcome is known: each is conditioned on the one before',
    needs: ['journal', 'appends'],
    *check(story) {
      for (const event of story.eventsOf('append')) {
        const { shard, epoch, batch, expectedLast } = event;
        if (batch <= 1) continue;
        const before = story.batchOf(shard, epoch, batch - 1);
        if (before?.sequence === expectedLast) continue;
        yield {
          says:
            before === undefined
              ? `${nameOf(event)} was sent, though batch ${batch - 1} is not in the journal`
              : `${nameOf(event)} was conditioned on ${expectedLast}, where batch ${batch - 1} stands at ${before.sequence}`,
          sequences: before === undefined ? [] : [before.sequence],
          events: [event],
        };
      }
    },
  },
];

/** For each epoch of a shard the claim that ended it. */
export function supersessions({ claims }: Story): ReadonlyMap<string, Claim> {
  const found = new Map<string, Claim>();
  const current = new Map<number, Claim>();
  for (const claim of claims) {
    const before = current.get(claim.shard);
    if (before !== undefined && claim.epoch <= before.epoch) continue;
    current.set(claim.shard, claim);
    if (before !== undefined) found.set(`${claim.shard}/${before.epoch}`, claim);
  }
  return found;
}

/** Whether a newer epoch had begun when the append was sent. */
export function isSuperseded(claims: ReadonlyMap<string, Claim>, event: AppendEvent): boolean {
  const newer = claims.get(`${event.shard}/${event.epoch}`);
  return newer !== undefined && newer.at <= event.sentAt;
}

function nameOf({ shard, epoch, batch, node }: AppendEvent): string {
  return `batch ${batch} of epoch ${epoch} of shard ${shard}, by ${node},`;
}

/** The first append of each owner that a newer epoch refused. */
export function firstRefusals(story: Story): readonly AppendEvent[] {
  const claims = supersessions(story);
  const first = new Map<string, AppendEvent>();
  for (const event of story.eventsOf('append')) {
    const owner = `${event.node} ${event.incarnation} ${event.shard}/${event.epoch}`;
    const isRefusal =
      event.outcome === 'conflict' && event.answeredAt !== null && claims.has(`${event.shard}/${event.epoch}`);
    const newer = claims.get(`${event.shard}/${event.epoch}`);
    if (!isRefusal || newer === undefined || newer.at > event.answeredAt || first.has(owner)) continue;
    first.set(owner, event);
  }
  return [...first.values()];
}
