import { describe, expect, it } from 'vitest';
import { type Column, formatFields, formatTable } from '../../../src/cli/table.ts';
import { colorPaint, plainPaint, Terminal, wantsColor } from '../../../src/cli/terminal.ts';

interface Row {
  readonly name: string;
  readonly count: number;
}

const columns: readonly Column<Row>[] = [
  { title: 'NAME', value: ({ name }: Row) => name },
  { title: 'COUNT', value: ({ count }: Row) => String(count), align: 'right' },
  { title: 'NOTE', value: ({ name }: Row) => `note of ${name}`, tone: () => 'bad' },
];

describe('a table', () => {
  it('has columns as wide as their widest value, and no blanks at a line end', () => {
    const text = formatTable(columns, [
      { name: 'a', count: 5 },
      { name: 'längst→', count: 12_345 },
    ]);
    expect(text.split('\n')).toEqual([
      'NAME     COUNT  NOTE',
      'a            5  note of a',
      'längst→  12345  note of längst→',
    ]);
  });

  it('shows control characters of a value instead of obeying them', () => {
    const text = formatTable(columns, [{ name: 'a\u001b[2J\nb', count: 1 }]);
    expect(text).toContain('a\\u001b[2J b');
    expect(text.split('\n')).toHaveLength(2);
  });

  it('cuts its last column to the width of the terminal, and no other', () => {
    const [, line = ''] = formatTable(columns, [{ name: 'x'.repeat(30), count: 1 }], {
      paint: plainPaint,
      width: 60,
    }).split('\n');
    expect(line).toHaveLength(60);
    expect(line).toMatch(/^x{30} .*…$/);
  });

  it('paints the text of a cell and not its blanks', () => {
    const [, line = ''] = formatTable(columns, [{ name: 'a', count: 1 }], { paint: colorPaint }).split('\n');
    expect(line).toContain('  \u001b[31mnote of a\u001b[39m');
  });

  it('fields stand under each other', () => {
    expect(
      formatFields(
        [
          ['a', '1'],
          ['long', '2\n3'],
        ],
        plainPaint,
      ),
    ).toBe('a     1\nlong  2 3');
  });
});

describe('color', () => {
  it.each([
    [{}, true, false, true],
    [{}, false, false, false],
    [{ NO_COLOR: '1' }, true, false, false],
    [{ NO_COLOR: '' }, true, false, true],
    [{ TERM: 'dumb' }, true, false, false],
    [{ FORCE_COLOR: '1' }, false, false, true],
    [{ CLICOLOR_FORCE: '0' }, true, false, false],
    [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false, false],
    [{ FORCE_COLOR: '1' }, true, true, false],
  ])('with %j, on a terminal %s, with --no-color %s is %s', (environment, isTerminal, noColor, expected) => {
    expect(wantsColor(environment, isTerminal, noColor)).toBe(expected);
  });

  it('is off after --no-color', () => {
    const sink = { write: () => true, isTTY: true, columns: 80 };
    const terminal = new Terminal({ stdout: sink, stderr: sink, environment: {} });
    expect(terminal.paint('bad', 'x')).toContain('\u001b[');
    expect(terminal.hasColorOnStderr).toBe(true);
    terminal.setColor({ noColor: true });
    expect(terminal.hasColorOnStderr).toBe(false);
    expect(terminal.paint('bad', 'x')).toBe('x');
    expect(terminal.columns).toBe(80);
  });
});
