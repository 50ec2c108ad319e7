import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { showInstant, showTime } from '../model/instants.ts';
import { isUtc, theme } from '../preferences.ts';

/** A line of a chart. */
export interface ChartLine {
  readonly label: string;
  /** A custom property of the style sheet, such as `--good`. */
  readonly color: string;
  readonly values: readonly (number | null)[];
  /** Not by color alone: also by dashes. */
  readonly isDashed?: boolean;
}

/** A chart of values over time, with the same numbers as a table for whoever cannot see it. */
export function Chart({
  title,
  times,
  lines,
  show,
  height = 150,
}: {
  readonly title: string;
  /** In milliseconds, rising. */
  readonly times: readonly number[];
  readonly lines: readonly ChartLine[];
  readonly show: (value: number) => string;
  readonly height?: number;
}): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = `${lines.map(({ label, color }) => label + color).join('|')} ${theme.value} ${isUtc.value}`;
  const data = [times.map((at) => at / 1_000), ...lines.map(({ values }) => [...values])] as uPlot.AlignedData;

  useEffect(() => {
    const { current } = place;
    if (current === null) return undefined;
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(options(current, { lines, show, height, isUtc: isUtc.value }), data, current);
    };
    draw();
    const size = new ResizeObserver(() => plot.current?.setSize({ width: current.clientWidth, height }));
    size.observe(current);
    const scheme = window.matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', draw);
    return () => {
      size.disconnect();
      scheme.removeEventListener('change', draw);
      plot.current?.destroy();
      plot.current = null;
    };
    // Drawn anew for another shape alone: new numbers are only set.
  }, [shape, height]);

  useEffect(() => plot.current?.setData(data));

  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        <span class="legend">
          {lines.map(({ label, color, isDashed, values }) => {
            const last = values.findLast((value) => value !== null);
            return (
              <span key={label}>
                <svg width="18" height="8" viewBox="0 0 18 8" aria-hidden="true">
                  <line
                    x1="0"
                    x2="18"
                    y1="4"
                    y2="4"
                    class={`line ${color.slice(2)} ${isDashed === true ? 'dashed' : ''}`}
                  />
                </svg>
                {label} <strong>{last === undefined || last === null ? '–' : show(last)}</strong>
              </span>
            );
          })}
        </span>
      </figcaption>
      <div class="chart-place" ref={place} aria-hidden="true" />
      <details class="alternative">
        <summary>As a table</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
          <table>
            <thead>
              <tr>
                <th scope="col">Time</th>
                {lines.map(({ label }) => (
                  <th key={label} scope="col">
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times.map((at, index) => (
                <tr key={at}>
                  <td>{showInstant(at, isUtc.value).slice(0, 19)}</td>
                  {lines.map(({ label, values }) => (
                    <td key={label} class="number">
                      {values[index] === null || values[index] === undefined ? '–' : show(values[index])}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

function options(
  place: HTMLElement,
  given: {
    readonly lines: readonly ChartLine[];
    readonly show: (value: number) => string;
    readonly height: number;
    readonly isUtc: boolean;
  },
): uPlot.Options {
  const style = getComputedStyle(place);
  const color = (name: string): string => resolveColor(place, name);
  const axis = {
    stroke: color('--quiet'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
    font: `11px ${style.fontFamily}`,
  };
  return {
    width: Math.max(120, place.clientWidth),
    height: given.height,
    legend: { show: false },
    cursor: { show: false },
    // Room for the half of the last time that stands beyond the axis.
    padding: [8, 24, 0, 0],
    scales: { y: { range: (_plot, _least, most) => [0, Number.isFinite(most) && most > 0 ? most * 1.15 : 1] } },
    axes: [
      {
        ...axis,
        size: 22,
        space: 90,
        values: (_plot, ticks) => ticks.map((seconds) => showTime(seconds * 1_000, given.isUtc).slice(0, 8)),
      },
      { ...axis, size: 76, space: 34, values: (_plot, ticks) => ticks.map((value) => given.show(value)) },
    ],
    series: [
      {},
      ...given.lines.map((line) => ({
        label: line.label,
        stroke: color(line.color),
        width: 1.5,
        spanGaps: true,
        points: { show: (plot: uPlot, index: number) => isSparse(plot.data[index]), size: 5, fill: color(line.color) },
        ...(line.isDashed === true ? { dash: [5, 4] } : {}),
      })),
    ],
  };
}

/** A line of few values is told by its points too: one between two gaps has no line. */
function isSparse(values: ArrayLike<number | null | undefined> | undefined): boolean {
  return Array.from(values ?? []).filter((value) => value !== null && value !== undefined).length <= 30;
}

/** A canvas knows no custom properties and no `light-dark()`: the color as the browser computes it for an element. */
function resolveColor(place: HTMLElement, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  place.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
