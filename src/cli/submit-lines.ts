import type { Client, SubmitItem, SubmitOutcome } from '../client.ts';
import { EngineError, type ErrorReport } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { errorLine, toCliError, usageError } from './cli-error.ts';
import { withCluster } from './cluster.ts';
import type { CliContext } from './context.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { parseJsonText, readLines } from './json-input.ts';
import type { ClusterOptions, OutputOptions } from './options.ts';
import { showView } from './view.ts';

/** Lines that are submitted at one time. */
const batchSize = 256;

/** How lines are read and submitted. */
export interface SubmitLinesOptions extends ClusterOptions, OutputOptions {
  readonly jsonl: string;
  readonly envelope?: boolean;
  readonly keyField?: string;
  readonly pipelineVersion?: number;
  readonly by?: string;
  readonly reason?: string;
}

/** What became of one line. */
export type LineOutcome = { readonly line: number } & SubmitOutcome;

interface Line {
  readonly number: number;
  readonly item: SubmitItem<unknown> | EngineError;
}

interface Tally {
  accepted: number;
  existing: number;
  failed: number;
  readonly errors: { readonly line: number; readonly error: ErrorReport }[];
}

/** Most errors that the summary repeats; each one is told as it happens. */
const maximumErrorsInSummary = 1_000;

/** Submits a task for each line, some at a time, and tells of each that is refused; the exit code is 1 when one was. */
export async function submitLines(context: CliContext, pipeline: string, options: SubmitLinesOptions): Promise<void> {
  const tally: Tally = { accepted: 0, existing: 0, failed: 0, errors: [] };
  await withCluster(context, options, async ({ client, deadlineMs }) => {
    let batch: Line[] = [];
    const send = async (): Promise<void> => {
      const lines = batch;
      batch = [];
      const outcomes = await submitBatch(client, pipeline, lines, { version: options.pipelineVersion, deadlineMs });
      for (const outcome of outcomes) count(context, options, tally, outcome);
      checkIsReachable(outcomes);
    };
    for await (const { number, text } of readLines(context, options.jsonl, '--jsonl')) {
      batch.push({ number, item: readItem(text, options) });
      if (batch.length >= batchSize) await send();
    }
    await send();
  });
  showSummary(context, options, tally);
}

/**
 * One line as an item: its input, or with `envelope` what the line says around it.
 *
 * @returns an EngineError when the line cannot be one
 */
export function readItem(
  text: string,
  options: Pick<SubmitLinesOptions, 'envelope' | 'keyField' | 'by' | 'reason'>,
): SubmitItem<unknown> | EngineError {
  const { by, reason } = options;
  try {
    const value = parseJsonText(text, 'input');
    if (options.envelope === true) return { by, reason, ...readEnvelope(value) };
    if (options.keyField === undefined) return { input: value, by, reason };
    return { input: value, idempotencyKey: readKey(value, options.keyField), by, reason };
  } catch (error) {
    return toCliError(error);
  }
}

const envelopeFields = new Set(['input', 'taskId', 'idempotencyKey', 'by', 'reason']);

function readEnvelope(value: JsonValue): SubmitItem<unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, 'input')) {
    throw usageError('an envelope is an object with an input', '{"input": …, "idempotencyKey": "…"}', 'input');
  }
  const unknown = Object.keys(value).find((key) => !envelopeFields.has(key));
  if (unknown === undefined) return value as unknown as SubmitItem<unknown>;
  throw usageError(`an envelope has no field ${unknown}`, `known are ${[...envelopeFields].join(', ')}`, unknown);
}

function readKey(value: JsonValue, field: string): string {
  const key = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined;
  if (typeof key === 'string' || typeof key === 'number') return String(key);
  throw usageError(`the input has no text or number in ${field}`, 'each line needs its idempotency key', field);
}

async function submitBatch(
  client: Client,
  pipeline: string,
  lines: readonly Line[],
  options: { readonly version: number | undefined; readonly deadlineMs: number },
): Promise<readonly LineOutcome[]> {
  const items = lines.flatMap(({ item }) => (item instanceof EngineError ? [] : [item]));
  const outcomes = (items.length === 0 ? [] : await client.submitMany(pipeline, items, options)).values();
  return lines.map(({ number, item }) => {
    if (item instanceof EngineError) return { line: number, kind: 'error', error: item };
    // Each item that could be read has its outcome, in the same order.
    return { line: number, ...(outcomes.next().value as SubmitOutcome) };
  });
}

function count(context: CliContext, options: OutputOptions, tally: Tally, outcome: LineOutcome): void {
  if (outcome.kind === 'error') {
    const report = outcome.error.toReport();
    tally.failed += 1;
    if (tally.errors.length < maximumErrorsInSummary) tally.errors.push({ line: outcome.line, error: report });
    context.terminal.note(`line ${outcome.line}: ${errorLine(report)}`);
    if (options.output === 'jsonl') context.terminal.printJson({ line: outcome.line, error: report });
    return;
  }
  tally[outcome.kind] += 1;
  if (options.output === 'jsonl') context.terminal.printJson(outcome);
}

/** When the engine is gone, each further line would wait for its deadline. */
function checkIsReachable(outcomes: readonly LineOutcome[]): void {
  const refused = outcomes.flatMap((outcome) => (outcome.kind === 'error' ? [outcome] : []));
  const [first] = refused;
  if (first === undefined || refused.length < outcomes.length) return;
  const isGone = refused.every(({ error }) => exitCodeOf(error) === exitCodes.cannotConnect);
  if (!isGone) return;
  throw new EngineError(first.error.code, `from line ${first.line} on: ${first.error.message}`, {
    hint: 'lines before it are submitted; with idempotency keys the whole file can be submitted again',
  });
}

function showSummary(context: CliContext, options: OutputOptions, tally: Tally): void {
  const { accepted, existing, failed, errors } = tally;
  const total = accepted + existing + failed;
  const text = `submitted ${total} lines: ${accepted} accepted, ${existing} existing, ${failed} failed`;
  if (failed > 0) context.exitCode = exitCodes.failed;
  if (options.output === 'jsonl') context.terminal.note(text);
  else
    showView(context, options.output, {
      document: { accepted, existing, failed, errors },
      items: [],
      text: () => text,
    });
}
