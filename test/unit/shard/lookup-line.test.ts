import { describe, expect, it } from 'vitest';

import { LookupLine, type LookupTurn } from '../../../src/shard/lookup-line.ts';
import { VirtualClock } from '../../../src/testing.ts';

function aLine() {
  const clock = new VirtualClock();
  const line = new LookupLine(clock);
  const seen: string[] = [];
  const enter = (name: string): LookupTurn => line.enter(() => seen.push(name));
  return { clock, line, seen, enter };
}

describe('the line of suspect lookups', () => {
  it('I33: gives one turn at a time, in the order in which they came', async () => {
    const { clock, line, seen, enter } = aLine();
    const [first, second] = ['a', 'b', 'c'].map(enter);
    await clock.advance(60_000);
    expect(seen).toEqual(['a']);
    line.end(first as LookupTurn);
    line.end(first as LookupTurn);
    await clock.advance(0);
    expect(seen).toEqual(['a', 'b']);
    line.end(second as LookupTurn);
    await clock.advance(0);
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it('passes over one that has left, be it before its turn or just as it comes', async () => {
    const { clock, line, seen, enter } = aLine();
    const [first, second] = ['a', 'b', 'c'].map(enter);
    line.end(second as LookupTurn);
    line.end(first as LookupTurn);
    await clock.advance(0);
    expect(seen).toEqual(['c']);
  });
});
