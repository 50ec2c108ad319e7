import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bulkOrderLine,
  bulkStartLine,
  nodeCommandLine,
  resolveCommandLine,
  shardCommandLine,
  shellWord,
  submitCommandLine,
  taskCommandLine,
  tokenCreateLine,
  tokenRevokeLine,
  usualPace,
} from '../../../console/src/model/cli-command.ts';
import { noTerms, parseFilterText, taskFilterOf as pageFilterOf } from '../../../console/src/model/filter-text.ts';
import { failureClasses, taskStatuses } from '../../../console/src/model/task-words.ts';
import { bulkPaceDefaults } from '../../../src/admin/bulk/bulk-run.ts';
import { buildProgram } from '../../../src/cli/program.ts';
import type { CliContext } from '../../../src/cli/context.ts';
import { taskFilterOf } from '../../../src/cli/task-filter-options.ts';

/** The words of a command line as a shell would pass them on. */
function wordsOf(line: string): readonly string[] {
  const parts = line.match(/(?:[^\s']|'[^']*')+/g) ?? [];
  return parts.map((part) => part.replaceAll(/\\'/g, '\u0000').replaceAll("'", '').replaceAll('\u0000', "'"));
}

/** The command that the line names, with what it does not know of its words. */
function parsedBy(line: string): {
  readonly name: string;
  readonly unknown: readonly string[];
  readonly options: object;
} {
  const [, ...words] = wordsOf(line);
  let command = buildProgram({ environment: {} } as unknown as CliContext);
  const rest = [...words];
  for (;;) {
    const next = command.commands.find((one) => one.name() === rest[0]);
    if (next === undefined) break;
    command = next;
    rest.shift();
  }
  const { unknown } = command.parseOptions(rest);
  return { name: command.name(), unknown, options: command.opts() };
}

describe('the command line beside an action', () => {
  it.each([
    ['plain-1.2/x', 'plain-1.2/x'],
    ['two words', "'two words'"],
    ["it's", "'it'\\''s'"],
    ['$(rm -rf /)', "'$(rm -rf /)'"],
    ['', "''"],
  ])('quotes %s for a shell', (text, word) => {
    expect(shellWord(text)).toBe(word);
  });

  const origin = 'https://console.example:4280';
  const api = { origin, reason: "it's back" };
  const aRun = { bulkId: 'b-1', pace: usualPace, count: 3 };
  const aPace = { firstBatch: 1, watchSeconds: 0, ratePerSecond: 2, stopAtFailurePercent: 3 };
  const note = { reason: 'asked by "support"', commandId: 'c-1' };
  const byTitle: readonly (readonly [string, string | null, string])[] = [
    [
      'cancel',
      taskCommandLine('cancel', 't-1', note),
      `cabinet task cancel t-1 --reason 'asked by "support"' --command-id c-1`,
    ],
    ['pause', taskCommandLine('pause', 't-1', {}), 'cabinet task pause t-1'],
    ['redrive', taskCommandLine('redrive', 't-1', { expectedSeq: 9 }), 'cabinet task redrive t-1 --expected-seq 9'],
    [
      'resolve',
      resolveCommandLine('t-1', { kind: 'notDone' }, { expectedSeq: 9 }),
      'cabinet task resolve t-1 --not-done --expected-seq 9',
    ],
    ['resolve', resolveCommandLine('t-1', { kind: 'notDone' }, {}), 'cabinet task resolve t-1 --not-done'],
    [
      'resolve',
      resolveCommandLine('t-1', { kind: 'completed', output: '{"a":1}' }, {}),
      `cabinet task resolve t-1 --completed '{"a":1}'`,
    ],
    [
      'resolve',
      resolveCommandLine('t-1', { kind: 'failed', message: 'no' }, {}),
      'cabinet task resolve t-1 --failed no',
    ],
    [
      'submit',
      submitCommandLine({ pipeline: 'card', version: 2, input: { a: "it's" }, taskId: 't-1', reason: 'why' }),
      `cabinet task submit card --input '{"a":"it'\\''s"}' --pipeline-version 2 --id t-1 --reason why`,
    ],
    ['drain', nodeCommandLine('drain', 'n-1', note), `cabinet node drain n-1 --reason 'asked by "support"'`],
    ['move', shardCommandLine(3, 'n-2', {}), 'cabinet shard move 3 n-2'],
    ['unpin', shardCommandLine(3, null, { reason: 'no need' }), "cabinet shard unpin 3 --reason 'no need'"],
    [
      'start',
      bulkStartLine('redrive', parseFilterText('status:failed pipeline:a,b age:>1h30m idle:<2d').terms, aRun, api),
      'cabinet bulk start redrive --status deadLettered --pipeline a --pipeline b --submitted-before 1h30m --updated-since 2d ' +
        `--bulk-id b-1 --yes --admin-url https://console.example:4280 --reason 'it'\\''s back'`,
    ],
    [
      'start',
      bulkStartLine('cancel', noTerms, { ...aRun, pace: aPace, count: 12_000 }, { origin }),
      'cabinet bulk start cancel --all --first-batch 1 --watch-first 0s --rate 2 --stop-at 3 --confirm-count 12000 ' +
        '--bulk-id b-1 --yes --admin-url https://console.example:4280',
    ],
    ['pause', bulkOrderLine('pause', 'b-1', { origin }), `cabinet bulk pause b-1 --admin-url ${origin}`],
    [
      'abort',
      bulkOrderLine('abort', 'b-1', { origin, reason: 'no' }),
      `cabinet bulk abort b-1 --admin-url ${origin} --reason no`,
    ],
    [
      'create',
      tokenCreateLine({ name: 'anna', role: 'operator', lifeMs: 2_592_000_000 }, { origin, reason: 'new' }),
      `cabinet token create anna --role operator --expires 30d --admin-url ${origin} --reason new`,
    ],
    [
      'create',
      tokenCreateLine({ name: 'ci', role: 'viewer', lifeMs: null }, { origin }),
      `cabinet token create ci --role viewer --expires never --admin-url ${origin}`,
    ],
    ['revoke', tokenRevokeLine('0a', { origin }), `cabinet token revoke 0a --admin-url ${origin}`],
  ];

  it.each(byTitle)('%s: is one that the command line itself takes', (name, line, text) => {
    expect(line).toBe(text);
    expect(parsedBy(text)).toMatchObject({ name, unknown: [] });
  });

  it('begins the bulk action that the page begins: the same tasks, whatever the filter, and at the same pace', () => {
    const now = 1_800_000_000_000;
    const bound = fc.record({ isOlder: fc.boolean(), durationMs: fc.nat(10_000_000).map((n) => n * 1_000) });
    const someOf = <Value>(...values: readonly Value[]) => fc.subarray([...values]);
    const terms = fc.record({
      statuses: someOf(...taskStatuses),
      pipelines: someOf('card', 'a-b', 'x'),
      versions: someOf(1, 2, 300),
      stages: someOf('parse', 'publish'),
      shards: someOf(0, 7, 4_095),
      failureClasses: someOf(...failureClasses),
      failureFingerprints: someOf('ab12', '0'),
      taskIds: someOf('t-1', '0', 'null'),
      taskIdPrefix: fc.constantFrom(null, 'card-', '0'),
      age: fc.array(bound, { maxLength: 3 }),
      idle: fc.array(bound, { maxLength: 3 }),
    });
    fc.assert(
      fc.property(terms, (filter) => {
        const { options } = parsedBy(bulkStartLine('pause', filter, aRun, { origin }));
        expect(taskFilterOf(options, now)).toEqual(pageFilterOf(filter, now));
        const { firstBatch, watchMs, ratePerSecond, stopAtFailurePercent } = bulkPaceDefaults;
        expect(options).toMatchObject({ firstBatch, rate: ratePerSecond, stopAt: stopAtFailurePercent, bulkId: 'b-1' });
        expect([usualPace.watchSeconds * 1_000, 'watchFirst' in options]).toEqual([watchMs, false]);
      }),
    );
  });
});
