import { withCluster, withDeadline, type ClusterAccess } from './cluster.ts';
import type { CliContext } from './context.ts';
import type { OutputFormat, OutputOptions, ReadOptions } from './options.ts';
import type { Paint } from './terminal.ts';

/** How a text may be drawn. */
export interface Drawing {
  readonly paint: Paint;
  /** Columns of the terminal; undefined where lines have no end. */
  readonly width: number | undefined;
}

/** Data of a command in the three forms that it may be asked for. */
export interface View {
  /** For `-o json`. */
  readonly document: unknown;
  /** For `-o jsonl`, one a line. */
  readonly items: readonly unknown[];
  /** For people. */
  readonly text: (drawing: Drawing) => string;
  /** Said beside the data. */
  readonly notes?: readonly string[] | undefined;
}

/** Writes a view in the form asked for. */
export function showView(context: CliContext, format: OutputFormat, view: View): void {
  const { terminal } = context;
  if (format === 'json') terminal.print(JSON.stringify(view.document, null, 2));
  else if (format === 'jsonl') for (const item of view.items) terminal.printJson(item);
  else terminal.print(view.text({ paint: terminal.paint, width: terminal.columns }));
  for (const note of view.notes ?? []) terminal.note(note);
}

/**
 * Connects, looks, and shows what is seen; with `--watch` again and again until it is interrupted: on a terminal in place,
 * elsewhere as lines of JSON, each only when it differs from all of the look before.
 */
export async function runRead(
  context: CliContext,
  options: ReadOptions,
  look: (access: ClusterAccess, signal: AbortSignal) => Promise<View>,
): Promise<void> {
  await withCluster(context, options, (access) =>
    repeatLook(context, options, () =>
      withDeadline(context, access.deadlineMs, 'the answer', (signal) => look(access, signal)),
    ),
  );
}

/** Looks once and shows what is seen; with `--watch` as {@link runRead} does. */
export async function repeatLook(
  context: CliContext,
  options: OutputOptions & { readonly watch?: number | undefined },
  look: () => Promise<View>,
): Promise<void> {
  if (options.watch === undefined) {
    showView(context, options.output, await look());
    return;
  }
  const isDrawn = context.terminal.isInteractive && options.output === 'table';
  let before: ReadonlySet<string> = new Set();
  while (!context.interrupted.aborted) {
    const view = await look();
    if (isDrawn) redraw(context, view);
    else before = printChanges(context, view, before);
    await pause(context, options.watch);
  }
}

function redraw({ terminal }: CliContext, view: View): void {
  const lines = [view.text({ paint: terminal.paint, width: terminal.columns }), ...(view.notes ?? [])];
  terminal.redraw(lines.join('\n'));
}

function printChanges({ terminal }: CliContext, view: View, before: ReadonlySet<string>): ReadonlySet<string> {
  const lines = view.items.map((item) => JSON.stringify(item));
  for (const line of lines) if (!before.has(line)) terminal.print(line);
  return new Set(lines);
}

/** Resolves after a time. */
export function pause(context: CliContext, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    context.clock.setTimer(delayMs, resolve);
  });
}
