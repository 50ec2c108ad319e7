import { describe, expect, it } from 'vitest';

import type { EngineError } from '../../../src/core/errors.ts';
import { writeGuard } from '../../../src/supervisor/write-guard.ts';

describe('the guard of what a node stores', () => {
  it('PROCESS_CORRUPTED: lets nothing pass once a built-in function was changed, and says so once', () => {
    const told: EngineError[] = [];
    const mayWrite = writeGuard((error) => told.push(error));
    expect(mayWrite()).toBe(true);
    const { stringify } = JSON;
    JSON.stringify = () => '{}';
    const answers = [mayWrite(), mayWrite()];
    JSON.stringify = stringify;
    // That it was put back proves nothing about what was decided meanwhile.
    expect([...answers, mayWrite()]).toEqual([false, false, false]);
    expect(told).toMatchObject([
      { code: 'PROCESS_CORRUPTED', message: expect.stringContaining('JSON.stringify') as string },
    ]);
  });
});
