import type { JSX } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { showDuration } from '../model/durations.ts';
import { ticksOf, type Gantt, type GanttSpan } from '../model/gantt.ts';
import { statusNames } from '../model/task-words.ts';
import { Instant } from './time.tsx';

const laneHeight = 24;
const headHeight = 22;
const labelWidth = 132;
const smallestSpan = 2;
/** More lanes than these are scrolled. */
const mostLanes = 16;

/** A task's stages over time: what ran, what waited for what, and where the owner changed. */
export function GanttChart({ gantt, cursor }: { readonly gantt: Gantt; readonly cursor: number | null }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(900);
  useLayoutEffect(() => {
    const { current } = place;
    if (current === null) return undefined;
    const measure = (): void => setWidth(Math.max(320, current.clientWidth));
    measure();
    const size = new ResizeObserver(measure);
    size.observe(current);
    return () => size.disconnect();
  }, []);
  const { from, to, lanes, moves } = gantt;
  const duration = to - from;
  const right = 12;
  const x = (at: number): number => labelWidth + ((at - from) / duration) * (width - labelWidth - right);
  const height = headHeight + lanes.length * laneHeight + 4;
  const ticks = ticksOf(duration, Math.max(2, Math.floor((width - labelWidth) / 90)));
  return (
    <div class="gantt-place" ref={place}>
      <div class="gantt-lanes" tabIndex={lanes.length > mostLanes ? 0 : undefined}>
        <svg
          class="gantt"
          width={width}
          height={height}
          viewBox={`0 0 ${width} ${height}`}
          role="img"
          aria-label={sentenceOf(gantt)}
        >
          {ticks.map((offset) => (
            <g key={offset} class="tick">
              <line x1={x(from + offset)} x2={x(from + offset)} y1={headHeight - 4} y2={height} />
              <text x={x(from + offset) + 3} y={headHeight - 9}>
                {x(from + offset) > width - 56 ? '' : offset === 0 ? '0' : `+${showDuration(offset)}`}
              </text>
            </g>
          ))}
          {lanes.map(({ stage, spans }, lane) => {
            const y = headHeight + lane * laneHeight;
            return (
              <g key={stage}>
                <text class="lane" x="4" y={y + laneHeight / 2 + 4}>
                  {stage.length > 19 ? `${stage.slice(0, 18)}…` : stage}
                  <title>{stage}</title>
                </text>
                {spans.map((span) => (
                  <Span key={`${span.kind} ${span.from} ${span.attempt}`} span={span} x={x} y={y} />
                ))}
              </g>
            );
          })}
          {moves.map((move) => (
            <g key={`${move.epoch} ${move.at}`} class={`move ${move.isInterruption ? 'is-cut' : ''}`}>
              <line x1={x(move.at)} x2={x(move.at)} y1={headHeight - 4} y2={height} />
              <path d={`M${x(move.at)} ${headHeight - 6}l5 -7h-10z`} />
              <title>
                {`owner changed: epoch ${move.previousEpoch} to ${move.epoch}${move.isInterruption ? '; the attempt was cut off' : ''}`}
              </title>
            </g>
          ))}
          {cursor !== null && <line class="cursor" x1={x(cursor)} x2={x(cursor)} y1={headHeight - 4} y2={height} />}
        </svg>
      </div>
      <Legend gantt={gantt} />
      <details class="alternative">
        <summary>As a table</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label="Stages over time, as a table">
          <table>
            <thead>
              <tr>
                <th scope="col">Stage</th>
                <th scope="col">What</th>
                <th scope="col">From</th>
                <th scope="col" class="number">
                  For
                </th>
              </tr>
            </thead>
            <tbody>
              {lanes.flatMap(({ stage, spans }) =>
                spans.map((span) => (
                  <tr key={`${stage} ${span.kind} ${span.from} ${span.attempt}`}>
                    <td>{stage}</td>
                    <td>{nameOf(span)}</td>
                    <td>
                      <Instant at={span.from} />
                    </td>
                    <td class="number">{showDuration(span.to - span.from)}</td>
                  </tr>
                )),
              )}
              {moves.map((move) => (
                <tr key={`move ${move.epoch}`}>
                  <td>–</td>
                  <td>
                    owner changed: epoch {move.previousEpoch} to {move.epoch}
                  </td>
                  <td>
                    <Instant at={move.at} />
                  </td>
                  <td class="number">–</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </div>
  );
}

function Span({
  span,
  x,
  y,
}: {
  readonly span: GanttSpan;
  readonly x: (at: number) => number;
  readonly y: number;
}): JSX.Element {
  const left = x(span.from);
  const width = Math.max(smallestSpan, x(span.to) - left);
  const isThin = span.kind !== 'running';
  return (
    <g class={`span fill-${span.kind} ${span.hasFailed ? 'has-failed' : ''} ${span.isOpen ? 'is-open' : ''}`}>
      <rect
        x={left}
        y={y + (isThin ? 8 : 4)}
        width={width}
        height={isThin ? laneHeight - 16 : laneHeight - 8}
        rx={Math.min(3, width / 2)}
      />
      {!isThin && width > 18 && span.attempt > 1 && (
        <text x={left + 5} y={y + laneHeight / 2 + 4}>
          {span.attempt}
        </text>
      )}
      <title>{`${span.stage}: ${nameOf(span)}, ${showDuration(span.to - span.from)}`}</title>
    </g>
  );
}

function nameOf({ kind, attempt, hasFailed, isOpen }: GanttSpan): string {
  const name = Object.hasOwn(statusNames, kind) ? statusNames[kind as keyof typeof statusNames] : kind;
  const told = kind === 'running' ? `attempt ${attempt}${hasFailed ? ', failed' : ''}` : name;
  return isOpen ? `${told}, until now` : told;
}

function sentenceOf({ from, to, lanes, moves }: Gantt): string {
  const attempts = lanes.flatMap(({ spans }) => spans).filter(({ kind }) => kind === 'running');
  const failed = attempts.filter(({ hasFailed }) => hasFailed).length;
  return (
    `${lanes.length} stages over ${showDuration(to - from)}: ${attempts.length} attempts, ${failed} failed, ` +
    `${moves.length} changes of the owner. The table below has each of them.`
  );
}

function Legend({ gantt }: { readonly gantt: Gantt }): JSX.Element {
  const kinds = [...new Set(gantt.lanes.flatMap(({ spans }) => spans.map(({ kind }) => kind)))];
  const hasFailed = gantt.lanes.some(({ spans }) => spans.some((span) => span.hasFailed));
  return (
    <p class="legend" aria-hidden="true">
      {kinds.map((kind) => (
        <span key={kind}>
          <svg width="14" height="10" viewBox="0 0 14 10" class={`span fill-${kind}`}>
            <rect x="0" y={kind === 'running' ? 0 : 2} width="14" height={kind === 'running' ? 10 : 6} rx="2" />
          </svg>
          {Object.hasOwn(statusNames, kind) ? statusNames[kind as keyof typeof statusNames] : kind}
        </span>
      ))}
      {hasFailed && (
        <span>
          <svg width="14" height="10" viewBox="0 0 14 10" class="span fill-running has-failed">
            <rect x="0" y="0" width="14" height="10" rx="2" />
          </svg>
          failed
        </span>
      )}
      {gantt.moves.length > 0 && (
        <span>
          <svg width="10" height="10" viewBox="0 0 10 10" class="move">
            <path d="M5 9L9 2H1z" />
          </svg>
          owner changed
        </span>
      )}
    </p>
  );
}
