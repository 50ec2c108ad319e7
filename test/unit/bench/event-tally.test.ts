import { describe, expect, it } from 'vitest';
import { EventTally } from '../../../bench/event-tally.ts';

describe('EventTally', () => {
  it('counts an event at or before the last one as heard twice', () => {
    const tally = new EventTally();
    for (const id of ['9-0-0', '10-0-0', '10-0-1', '10-0-0', '10-0-1', '11-0-0']) tally.hear(id);
    expect([tally.events, tally.twice, tally.first, tally.last]).toEqual([6, 2, '9-0-0', '11-0-0']);
  });

  it('refuses what is no position with INVALID_ARGUMENT', () => {
    expect(() => new EventTally().hear('x')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
