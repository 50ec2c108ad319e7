import { describe, expect, it } from 'vitest';
import {
  bulkCommandLine,
  nodeCommandLine,
  resolveCommandLine,
  shardCommandLine,
  shellWord,
  submitCommandLine,
  taskCommandLine,
} from '../../../console/src/model/cli-command.ts';
import { noTerms, parseFilterText } from '../../../console/src/model/filter-text.ts';
import { buildProgram } from '../../../src/cli/program.ts';
import type { CliContext } from '../../../src/cli/context.ts';

/** The words of a command line as a shell would pass them on. */
function wordsOf(line: string): readonly string[] {
  const parts = line.match(/(?:[^\s']|'[^']*')+/g) ?? [];
  return parts.map((part) => part.replaceAll(/\\'/g, '\u0000').replaceAll("'", '').replaceAll('\u0000', "'"));
}

/** The command that the line names, with what it does not know of its words. */
function parsedBy(line: string): { readonly name: string; readonly unknown: readonly string[] } {
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
  return { name: command.name(), unknown };
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
    [
      'redrive',
      bulkCommandLine('redrive', parseFilterText('status:failed pipeline:card fingerprint:ab').terms, note),
      `cabinet dlq redrive --pipeline card --fingerprint ab --yes --reason 'asked by "support"'`,
    ],
    ['redrive', bulkCommandLine('redrive', noTerms, {}), 'cabinet dlq redrive --all --yes'],
    ['pause', bulkCommandLine('pause', { ...noTerms, taskIds: ['a', 'b'] }, {}), 'cabinet task pause a b'],
    ['drain', nodeCommandLine('drain', 'n-1'), 'cabinet node drain n-1'],
    ['move', shardCommandLine(3, 'n-2'), 'cabinet shard move 3 n-2'],
    ['unpin', shardCommandLine(3, null), 'cabinet shard unpin 3'],
  ];

  it.each(byTitle)('%s: is one that the command line itself takes', (name, line, text) => {
    expect(line).toBe(text);
    expect(parsedBy(text)).toEqual({ name, unknown: [] });
  });

  it.each(['status:held', 'age:>1h', 'card-', 'pipeline:a,b', 'status:failed version:2'])(
    'is none for a redrive of %s, which the command line has no filter for',
    (text) => {
      expect(bulkCommandLine('redrive', parseFilterText(text).terms, {})).toBeNull();
    },
  );

  it('is none for a bulk action by filter other than a redrive', () => {
    expect(bulkCommandLine('cancel', parseFilterText('pipeline:card').terms, {})).toBeNull();
  });
});
