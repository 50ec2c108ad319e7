import util from 'node:util';
import type { Environment } from '../platform/environment.ts';

/** A place for text: what is needed of a process's stdout and stderr. */
export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Colors by what they mean. */
export type Tone = 'good' | 'bad' | 'warn' | 'dim' | 'strong';

/** Text in a tone, or as it is where colors are off. */
export type Paint = (tone: Tone, text: string) => string;

const formats = { good: 'green', bad: 'red', warn: 'yellow', dim: 'dim', strong: 'bold' } as const;

/** Text as it is. */
export const plainPaint: Paint = (_tone, text) => text;

/** Text in color, on a Node that can (20.12 and newer). */
export const colorPaint: Paint = (tone, text) =>
  typeof util.styleText === 'function' && text !== ''
    ? util.styleText(formats[tone], text, { validateStream: false })
    : text;

/**
 * Whether output in color is wanted: `--no-color` over `NO_COLOR` over `FORCE_COLOR`, then whether a person looks at it.
 *
 * @see https://no-color.org
 */
export function wantsColor(environment: Environment, isTerminal: boolean, noColorFlag = false): boolean {
  if (noColorFlag || isSet(environment['NO_COLOR'])) return false;
  const forced = environment['FORCE_COLOR'] ?? environment['CLICOLOR_FORCE'];
  if (isSet(forced)) return forced !== '0';
  return isTerminal && environment['TERM'] !== 'dumb';
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

/** Where a command writes: data to stdout, everything else to stderr. */
export class Terminal {
  readonly #stdout: TextSink;
  readonly #stderr: TextSink;
  readonly #environment: Environment;
  #noColor = false;
  #paint: Paint;

  constructor(sinks: { readonly stdout: TextSink; readonly stderr: TextSink; readonly environment: Environment }) {
    this.#stdout = sinks.stdout;
    this.#stderr = sinks.stderr;
    this.#environment = sinks.environment;
    this.#paint = this.#choosePaint();
  }

  /** Whether a person looks at stdout. */
  get isInteractive(): boolean {
    return this.#stdout.isTTY === true;
  }

  /** Width of the terminal; undefined where lines have no end. */
  get columns(): number | undefined {
    return this.isInteractive ? this.#stdout.columns : undefined;
  }

  /** Colors of stdout. */
  get paint(): Paint {
    return this.#paint;
  }

  /** Whether what is written to stderr should have colors. */
  get hasColorOnStderr(): boolean {
    return wantsColor(this.#environment, this.#stderr.isTTY === true, this.#noColor);
  }

  /** Takes account of `--no-color`. */
  setColor(options: { readonly noColor: boolean }): void {
    this.#noColor = options.noColor;
    this.#paint = this.#choosePaint();
  }

  /** Writes text to stdout, with a line's end unless it has one. */
  print(text: string): void {
    if (text !== '') this.#stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  /** Writes a value as one line of JSON to stdout. */
  printJson(value: unknown): void {
    this.#stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Tells the person something beside the data, on stderr. */
  note(text: string): void {
    this.#stderr.write(`${text}\n`);
  }

  /** Empties the screen and puts the text at its top. Only for an interactive stdout. */
  redraw(text: string): void {
    this.#stdout.write(`\u001b[2J\u001b[H${text}${text.endsWith('\n') ? '' : '\n'}`);
  }

  #choosePaint(): Paint {
    return wantsColor(this.#environment, this.isInteractive, this.#noColor) ? colorPaint : plainPaint;
  }
}
