import { asError, invalidArgument } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { Clock } from '../ports/clock.ts';
import type { AnyDriver, LookupAnswer, LookupContext, StageContext } from '../ports/driver.ts';
import { runChild } from './child-run.ts';
import {
  defaultFatalExitCodes,
  defaultRetryableExitCodes,
  outputOfChild,
  type CommandOutput,
  type CommandRules,
} from './command-outcome.ts';
import { excerpt } from './excerpt.ts';
import { stageRequestOf } from './stage-request.ts';

/** Settings of a command driver. */
export interface CommandDriverOptions {
  /** The program: a path, or a name that is looked up in the child's `PATH`. No shell reads it. */
  readonly command: string;
  readonly args?: readonly string[] | undefined;
  /** Arguments of a run that only asks what became of an attempt; see {@link createCommandDriver}. None when left out. */
  readonly lookupArgs?: readonly string[] | undefined;
  readonly cwd?: string | undefined;
  /** The child's environment, all of it but for the `CABINET_` variables of the attempt. */
  readonly env: Readonly<Record<string, string>>;
  /** 75 (`EX_TEMPFAIL`) when left out. */
  readonly retryableExitCodes?: readonly number[] | undefined;
  /** {@link defaultFatalExitCodes} when left out. A code that is in neither list is `unexpected`. */
  readonly fatalExitCodes?: readonly number[] | undefined;
  /** Whether each line of output, also of error output, counts as a heartbeat; false when left out. */
  readonly heartbeatOnOutput?: boolean | undefined;
  /** From SIGTERM to SIGKILL after an abort; 2,000 when left out. Keep it below the engine's `abortGraceMs`. */
  readonly killGraceMs?: number | undefined;
  /** Longest line of output in characters; 16 Mi when left out. */
  readonly maximumOutputLength?: number | undefined;
  /** Lines of an attempt that are logged, others are counted; 200 when left out. */
  readonly maximumLogLines?: number | undefined;
  readonly clock: Clock;
}

const defaultKillGraceMs = 2_000;
const defaultMaximumOutputLength = 16 * 1024 * 1024;
const defaultMaximumLogLines = 200;
/** Last lines of the error output that an error repeats. */
const errorTailLines = 12;

/**
 * A driver that runs a program once an attempt, without a shell and in a process group of its own.
 *
 * Standard input: the stage as one line of JSON (`taskId`, `pipeline`, `stage`, `attempt`, `idempotencyKey`, `fence`, `input`,
 * `outputs`). Standard output: its last line that is not empty is the output, as JSON; without one the output is null; the lines
 * before it are logged at `debug`. Error output is logged by line at `info`: no secrets belong there. Environment: `env`, and
 * `CABINET_TASK_ID`, `CABINET_PIPELINE`, `CABINET_STAGE`, `CABINET_ATTEMPT`, `CABINET_IDEMPOTENCY_KEY`, `CABINET_FENCE_SHARD`,
 * `CABINET_FENCE_EPOCH`, `CABINET_FENCE_SEQUENCE`.
 *
 * Errors: see {@link outputOfChild}. After an abort the group gets SIGTERM, after the grace SIGKILL, and the attempt ends when
 * the child has. An engine that is itself killed leaves its children running: they hold the key and an older fence.
 *
 * With `lookupArgs`, an interrupted stage is asked about by a run with those arguments and the same input, whose last line is
 * `{"kind":"done","output":…}`, `{"kind":"notDone"}` or `{"kind":"unknown"}`.
 */
export function createCommandDriver(options: CommandDriverOptions): AnyDriver {
  if (typeof options.command !== 'string' || options.command === '') {
    throw invalidArgument({ field: 'command', message: 'command must be a program', got: options.command });
  }
  const driver = { execute: (ctx: StageContext) => run(options, ctx, options.args ?? [], () => ctx.heartbeat()) };
  const { lookupArgs } = options;
  return lookupArgs === undefined ? driver : { ...driver, lookup: (ctx) => lookUp(options, ctx, lookupArgs) };
}

async function run(
  options: CommandDriverOptions,
  ctx: LookupContext,
  args: readonly string[],
  heartbeat: () => void,
): Promise<JsonValue> {
  const { signal } = ctx;
  signal.throwIfAborted();
  const output = new OutputLines(options, ctx, heartbeat);
  const end = await runChild(
    {
      command: options.command,
      args,
      cwd: options.cwd,
      env: { ...options.env, ...variablesOf(ctx) },
      stdin: `${JSON.stringify(stageRequestOf(ctx))}\n`,
      signal,
      killGraceMs: options.killGraceMs ?? defaultKillGraceMs,
      maximumLineLength: options.maximumOutputLength ?? defaultMaximumOutputLength,
      onOutputLine: (line) => output.addOutput(line),
      onErrorLine: (line, isCut) => output.addError(line, isCut),
    },
    { clock: options.clock },
  );
  output.tellDropped();
  if (signal.aborted) throw asError(signal.reason);
  return outputOfChild(end, output, rulesOf(options));
}

async function lookUp(
  options: CommandDriverOptions,
  ctx: LookupContext,
  args: readonly string[],
): Promise<LookupAnswer<unknown>> {
  const answer = await run(options, ctx, args, () => undefined);
  const { kind, output } = (answer ?? {}) as { readonly kind?: unknown; readonly output?: unknown };
  if (kind === 'done') return { kind, output };
  return kind === 'notDone' ? { kind } : { kind: 'unknown' };
}

function rulesOf(options: CommandDriverOptions): CommandRules {
  return {
    command: options.command,
    retryableExitCodes: options.retryableExitCodes ?? defaultRetryableExitCodes,
    fatalExitCodes: options.fatalExitCodes ?? defaultFatalExitCodes,
    maximumOutputLength: options.maximumOutputLength ?? defaultMaximumOutputLength,
  };
}

function variablesOf(ctx: LookupContext): Readonly<Record<string, string>> {
  return {
    CABINET_TASK_ID: ctx.taskId,
    CABINET_PIPELINE: ctx.pipeline,
    CABINET_STAGE: ctx.stage,
    CABINET_ATTEMPT: `${ctx.attempt}`,
    CABINET_IDEMPOTENCY_KEY: ctx.idempotencyKey,
    CABINET_FENCE_SHARD: `${ctx.fence.shard}`,
    CABINET_FENCE_EPOCH: `${ctx.fence.epoch}`,
    CABINET_FENCE_SEQUENCE: `${ctx.fence.sequence}`,
  };
}

/** What a child prints, as far as it is kept: its last line, the end of its errors, and a bounded log. */
class OutputLines implements CommandOutput {
  lastLine = '';
  readonly #ctx: LookupContext;
  readonly #heartbeat: () => void;
  readonly #tail: string[] = [];
  #logsLeft: number;
  #dropped = 0;

  constructor(options: CommandDriverOptions, ctx: LookupContext, heartbeat: () => void) {
    this.#ctx = ctx;
    this.#heartbeat = options.heartbeatOnOutput === true ? heartbeat : () => undefined;
    this.#logsLeft = options.maximumLogLines ?? defaultMaximumLogLines;
  }

  get errorTail(): string {
    return this.#tail.join(' | ');
  }

  addOutput(line: string): void {
    this.#heartbeat();
    if (line.trim() === '') return;
    // Known to be no result only now that another line follows it.
    if (this.lastLine !== '') this.#log('debug', this.lastLine, 'the command printed a line');
    this.lastLine = line;
  }

  addError(line: string, isCut: boolean): void {
    this.#heartbeat();
    if (line.trim() === '') return;
    this.#tail.push(isCut ? `${line}…` : line);
    if (this.#tail.length > errorTailLines) this.#tail.shift();
    this.#log('info', line, 'the command printed a line of error output');
  }

  tellDropped(): void {
    if (this.#dropped > 0) this.#ctx.log.warn({ dropped: this.#dropped }, 'lines of the command were not logged');
  }

  #log(level: 'debug' | 'info', line: string, message: string): void {
    if (this.#logsLeft === 0) {
      this.#dropped += 1;
      return;
    }
    this.#logsLeft -= 1;
    this.#ctx.log[level]({ line: excerpt(line) }, message);
  }
}
