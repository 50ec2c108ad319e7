import { connectConsole } from '../src/client.ts';
import { followEvents } from '../src/projections/event-feed.ts';
import { comparePositions, parsePosition, type Position } from '../src/projections/position.ts';

/** What one client was told of the event feed, by the events' places in it. */
export class EventTally {
  /** Heard at all, those heard twice included. */
  events = 0;
  /** At or before the last one's place: it had been told of them. */
  twice = 0;
  first: Position | null = null;
  last: Position | null = null;

  hear(id: string): void {
    const position = parsePosition(id);
    this.events += 1;
    if (this.last !== null && comparePositions(position, this.last) <= 0) {
      this.twice += 1;
      return;
    }
    this.first ??= position;
    this.last = position;
  }
}

/**
 * How many events lie between the first and the last of each client that it never had, over all clients: the feed is read from the
 * journal anew and counted.
 */
export async function missingEvents({
  servers,
  namespace,
  tallies,
}: {
  readonly servers: readonly string[];
  readonly namespace: string;
  readonly tallies: readonly EventTally[];
}): Promise<number> {
  const heard = tallies.flatMap(({ first, last, events, twice }) =>
    first === null || last === null ? [] : [{ first, last, once: events - twice }],
  );
  const furthest = heard
    .map(({ last }) => last)
    .toSorted(comparePositions)
    .at(-1);
  if (furthest === undefined) return 0;
  const wanted = new Set(heard.flatMap(({ first, last }) => [first, last]));
  const places = new Map<Position, number>();
  const { client, journal } = await connectConsole({ servers, namespace, name: 'bench-check' });
  const enough = new AbortController();
  let place = 0;
  for await (const { id } of followEvents({ journal, namespace, signal: enough.signal })) {
    place += 1;
    if (wanted.has(id)) places.set(id, place);
    if (comparePositions(id, furthest) >= 0) break;
  }
  enough.abort();
  await client.close();
  const placeOf = (id: Position): number => {
    const found = places.get(id);
    if (found === undefined) throw new Error(`a client was told of ${id}, which the feed does not have`);
    return found;
  };
  return heard.reduce((sum, { first, last, once }) => sum + placeOf(last) - placeOf(first) + 1 - once, 0);
}
