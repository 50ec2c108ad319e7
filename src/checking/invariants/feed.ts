import type { DeliveredEvent, FeedPlace, GapEvent, SubscribeEvent } from '../history-events.ts';
import type { Breach, Invariant } from '../invariant.ts';
import type { Story } from '../story.ts';

type Delivery = DeliveredEvent | GapEvent;

/** What subscribers of the event feed are sent. */
export const feedInvariants: readonly Invariant[] = [
  {
    id: 'I53',
    title: 'the events of a connection come in the order of the journal, none twice',
    needs: ['deliveries'],
    *check(story) {
      const last = new Map<string, Delivery>();
      for (const event of deliveriesOf(story)) {
        const before = last.get(event.connection);
        last.set(event.connection, event);
        if (before === undefined || compare(event.place, before.place) > 0) continue;
        yield {
          says: `connection ${event.connection} was sent ${event.place.join('-')} after ${before.place.join('-')}`,
          events: [before, event],
        };
      }
    },
  },
  {
    id: 'I54',
    title: 'a connection that resumes after a place is sent nothing up to that place',
    needs: ['deliveries'],
    *check(story) {
      const after = resumedAfter(story);
      for (const event of deliveriesOf(story)) {
        const from = after.get(event.connection);
        if (from?.after == null || compare(event.place, from.after) > 0) continue;
        yield {
          says: `connection ${event.connection} resumed after ${from.after.join('-')} and was sent ${event.place.join('-')}`,
          events: [from, event],
        };
      }
    },
  },
  {
    id: 'I55',
    title:
      'a connection misses no record between where it resumed and what it was sent last, but for a gap that it was told of',
    needs: ['journal', 'deliveries'],
    check: checkMissing,
  },
];

function* deliveriesOf({ history }: Story): Iterable<Delivery> {
  for (const event of history.events) if (event.type === 'delivered' || event.type === 'gap') yield event;
}

function resumedAfter(story: Story): ReadonlyMap<string, SubscribeEvent> {
  return new Map(story.eventsOf('subscribed').map((event) => [event.connection, event]));
}

function compare(left: FeedPlace, right: FeedPlace): number {
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}

function* checkMissing(story: Story): Iterable<Breach> {
  // Every record has at least one event, so that a record without any was left out.
  const places = story.history.entries.flatMap(({ sequence, commit }) =>
    (commit?.records ?? []).map((_, index) => [sequence, index + 1, 1] as const),
  );
  const after = resumedAfter(story);
  const next = new Map<string, number>();
  const told = new Set<string>();
  for (const event of deliveriesOf(story)) {
    const { connection, place, type } = event;
    const from = after.get(connection);
    if (from?.after == null || from.isFiltered === true || told.has(connection)) continue;
    let index = next.get(connection) ?? firstAfter(places, from.after);
    const [sequence, part] = place;
    for (let due = places[index]; due !== undefined && isBefore(due, sequence, part); due = places[index]) {
      index += 1;
      if (type === 'gap' || told.has(connection)) continue;
      told.add(connection);
      yield {
        says: `connection ${connection} was sent nothing of record ${due[0]}-${due[1]}`,
        sequences: [due[0]],
        events: [event],
      };
    }
    const due = places[index];
    if (due !== undefined && due[0] === sequence && due[1] === part) index += 1;
    next.set(connection, index);
  }
}

function isBefore([sequence, part]: FeedPlace, ofSequence: number, ofPart: number): boolean {
  return sequence < ofSequence || (sequence === ofSequence && part < ofPart);
}

/** Where the first record after a place stands. A record that it is in the middle of counts as sent. */
function firstAfter(places: readonly FeedPlace[], after: FeedPlace): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const place = places[middle];
    if (place !== undefined && compare(place, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
