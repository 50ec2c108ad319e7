import { describe, expect, it } from 'vitest';
import { boundedLoad } from '../../../bench/modes/scale.ts';

describe('boundedLoad', () => {
  const most = { tasks: 20_000, inFlight: 512 };

  it('gives what is asked for while payloads are small', () => {
    expect(boundedLoad(null, most)).toEqual({ tasks: 20_000, inFlight: 512, warmUp: 5_000 });
    expect(boundedLoad(100, most)).toEqual({ tasks: 20_000, inFlight: 512, warmUp: 5_000 });
  });

  it('lets large payloads in by fewer tasks, so that they fit into memory', () => {
    expect(boundedLoad(500_000, most)).toEqual({ tasks: 357, inFlight: 22, warmUp: 90 });
  });

  it('lets at least one in, whatever its size', () => {
    expect(boundedLoad(2 ** 40, most)).toEqual({ tasks: 1, inFlight: 1, warmUp: 1 });
  });
});
