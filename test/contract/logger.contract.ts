import { beforeEach, describe, expect, it } from 'vitest';

import type { LogFields, Logger } from '../../src/ports/logger.ts';

/** A line as the test reads it back. */
export interface ReadLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** A logger under test, and how to read what it wrote. */
export interface LoggerUnderTest {
  readonly logger: Logger;
  read(): readonly ReadLine[];
}

/** What every logger must do. */
export function describeLogger(name: string, make: () => LoggerUnderTest): void {
  describe(`Logger: ${name}`, () => {
    let made: LoggerUnderTest;

    beforeEach(() => {
      made = make();
    });

    it('writes a line a call, in order, with level, message and fields', () => {
      made.logger.debug({ shard: 1 }, 'one');
      made.logger.info({ shard: 2 }, 'two');
      made.logger.warn({ shard: 3 }, 'three');
      made.logger.error({ shard: 4 }, 'four');
      expect(made.read().map((line) => [line.level, line.message, line.fields['shard']])).toEqual([
        ['debug', 'one', 1],
        ['info', 'two', 2],
        ['warn', 'three', 3],
        ['error', 'four', 4],
      ]);
    });

    it('gives a child the fields of its parents, and its own over theirs', () => {
      const node = made.logger.child({ node: 'n1', shard: 0 });
      node.child({ shard: 7 }).info({ task: 't-1' }, 'from the grandchild');
      made.logger.info({}, 'from the root');
      expect(made.read()[0]?.fields).toMatchObject({ node: 'n1', shard: 7, task: 't-1' });
      expect(made.read()[1]?.fields).not.toHaveProperty('node');
    });

    it('takes an error as err, and a value that has no JSON, without throwing', () => {
      const cyclic: Record<string, unknown> = {};
      cyclic['self'] = cyclic;
      made.logger.error({ err: new Error('broken', { cause: new Error('deeper') }) }, 'with an error');
      made.logger.error({ cyclic, big: 10n, fn: () => undefined }, 'with values that have no JSON');
      expect(made.read().map((line) => line.message)).toEqual(['with an error', 'with values that have no JSON']);
    });

    it('does not change the fields it is given', () => {
      const fields = { headers: { authorization: 'Bearer abc' }, list: [{ token: 'x' }] };
      made.logger.info(fields, 'with a secret');
      expect(fields).toEqual({ headers: { authorization: 'Bearer abc' }, list: [{ token: 'x' }] });
    });
  });
}
