import { oneLine } from './cli-error.ts';
import { plainPaint, type Paint, type Tone } from './terminal.ts';

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly tone?: ((row: Row) => Tone | undefined) | undefined;
  readonly align?: 'left' | 'right' | undefined;
}

/** How a table is drawn. */
export interface TableStyle {
  readonly paint: Paint;
  /** The last column is cut to it; lines have no end when left out. */
  readonly width?: number | undefined;
}

const gap = '  ';
/** A last column is never cut to less than this. */
const leastCutWidth = 10;

/** Rows under a line of titles, in columns as wide as their widest value. A value's control characters are shown, not obeyed. */
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  style: TableStyle = { paint: plainPaint },
): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.value(row))));
  const widths = columns.map((column, index) =>
    Math.max(lengthOf(column.title), ...cells.map((line) => lengthOf(line[index] ?? ''))),
  );
  const lastIndex = columns.length - 1;
  const before = widths.slice(0, lastIndex).reduce((sum, width) => sum + width + gap.length, 0);
  const lastWidth = style.width === undefined ? undefined : Math.max(leastCutWidth, style.width - before);
  const draw = (texts: readonly string[], toneOf: (index: number) => Tone | undefined): string =>
    texts
      .map((text, index) => {
        const shown = index === lastIndex ? cut(text, lastWidth) : text;
        const tone = toneOf(index);
        const painted = tone === undefined ? shown : style.paint(tone, shown);
        const blanks = ' '.repeat(Math.max(0, (widths[index] ?? 0) - lengthOf(shown)));
        if (columns[index]?.align === 'right') return `${blanks}${painted}`;
        return index === lastIndex ? painted : `${painted}${blanks}`;
      })
      .join(gap)
      .trimEnd();
  return [
    draw(
      columns.map((column) => column.title),
      () => 'strong',
    ),
    ...cells.map((line, row) => draw(line, (index) => columns[index]?.tone?.(rows[row] as Row))),
  ].join('\n');
}

/** `name  value` lines, the values under each other. */
export function formatFields(fields: readonly (readonly [name: string, value: string])[], paint: Paint): string {
  const width = Math.max(0, ...fields.map(([name]) => lengthOf(name)));
  return fields
    .map(([name, value]) =>
      `${paint('dim', name)}${' '.repeat(width - lengthOf(name))}${gap}${oneLine(value)}`.trimEnd(),
    )
    .join('\n');
}

function cut(text: string, width: number | undefined): string {
  if (width === undefined || lengthOf(text) <= width) return text;
  return `${Array.from(text)
    .slice(0, width - 1)
    .join('')}…`;
}

function lengthOf(text: string): number {
  return Array.from(text).length;
}
