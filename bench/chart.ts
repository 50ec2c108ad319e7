/** One bar: a median with the least and the most that was measured. */
export interface Bar {
  readonly label: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** A chart of bars that lie. `note` tells how it was measured; it is also what is read to those who cannot see it. */
export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly note: string;
  readonly bars: readonly Bar[];
}

const width = 760;
const labelWidth = 250;
const barHeight = 22;
const rowHeight = 36;
const top = 56;
/** Room right of the longest bar, for its number. */
const valueWidth = 110;

/** The chart as an SVG that needs nothing else, and is the same for the same data. It follows the reader's color scheme. Pure. */
export function chartSvg({ title, unit, note, bars }: Chart): string {
  const height = top + bars.length * rowHeight + 34;
  const largest = Math.max(...bars.map(({ most }) => most), 0);
  const plotWidth = width - labelWidth - valueWidth;
  const x = (value: number): string => (labelWidth + (largest === 0 ? 0 : (value / largest) * plotWidth)).toFixed(1);
  const rows = bars.flatMap(({ label, median, least, most }, index) => {
    const y = top + index * rowHeight;
    const middle = y + barHeight / 2;
    return [
      `<text class="label" x="${labelWidth - 10}" y="${middle + 4}" text-anchor="end">${escaped(label)}</text>`,
      `<rect class="bar" x="${labelWidth}" y="${y}" width="${(Number(x(median)) - labelWidth).toFixed(1)}" height="${barHeight}" rx="2"/>`,
      `<path class="spread" d="M${x(least)} ${middle}H${x(most)}M${x(least)} ${middle - 5}v10M${x(most)} ${middle - 5}v10"/>`,
      `<text class="value" x="${(Number(x(most)) + 8).toFixed(1)}" y="${middle + 4}">${escaped(shown(median))} ${escaped(unit)}</text>`,
    ];
  });
  const spoken = bars.map(
    ({ label, median, least, most }) => `${label}: ${shown(median)} ${unit} (${shown(least)} to ${shown(most)})`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title desc">`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="desc">${escaped([...spoken, note].join('. '))}</desc>`,
    '<style>text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}.note{font-size:11px;fill:#59636e}.bar{fill:#2f6feb}.spread{stroke:#1f2328;stroke-width:1.5;fill:none}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}.bar{fill:#4c8dff}.spread{stroke:#e6edf3}}</style>',
    `<text class="title" x="16" y="30">${escaped(title)}</text>`,
    ...rows,
    `<text class="note" x="16" y="${height - 12}">${escaped(note)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function shown(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: value >= 100 ? 0 : 2 });
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => escapes[character] ?? character);
}
