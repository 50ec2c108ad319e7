import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ClusterStatus, ShardRow } from '../api/types.ts';
import { ownerColors, shardKinds } from '../model/shard-words.ts';

const gap = 3;

/** The shards as a grid: color tells the owner, pattern the state. Arrow keys move; a press or Enter chooses. */
export function ShardMap(props: {
  readonly status: ClusterStatus;
  readonly chosen: number | null;
  readonly onChoose: (shard: number) => void;
}): JSX.Element {
  const { status, chosen, onChoose } = props;
  const { shards, nodes } = status;
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(900);
  const [active, setActive] = useState(0);
  const mustFocus = useRef(false);
  useLayoutEffect(() => {
    const { current } = place;
    if (current === null) return undefined;
    const size = new ResizeObserver(() => setWidth(current.clientWidth));
    size.observe(current);
    return () => size.disconnect();
  }, []);
  // Many shards are small: what they are is told by the line below and by the table.
  const cell = shards.length <= 64 ? 38 : shards.length <= 512 ? 24 : 13;
  const columns = Math.max(1, Math.min(shards.length, Math.floor((width + gap) / (cell + gap))));
  const rows = Math.ceil(shards.length / columns);
  const colors = ownerColors([...nodes.map(({ nodeId }) => nodeId), ...shards.flatMap(({ from }) => from ?? [])]);
  const position = Math.min(active, Math.max(0, shards.length - 1));
  useEffect(() => {
    if (!mustFocus.current) return;
    mustFocus.current = false;
    place.current?.querySelector<SVGElement>(`[data-shard-index="${position}"]`)?.focus();
  });
  const onKeyDown = (event: KeyboardEvent): void => {
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: position + 1,
      ArrowLeft: position - 1,
      ArrowDown: position + columns,
      ArrowUp: position - columns,
      Home: 0,
      End: shards.length - 1,
    };
    const to = steps[event.key];
    const row = shards[position];
    if (to !== undefined) {
      mustFocus.current = true;
      setActive(Math.max(0, Math.min(shards.length - 1, to)));
    } else if ((event.key === 'Enter' || event.key === ' ') && row !== undefined) onChoose(row.shard);
    else return;
    event.preventDefault();
  };
  return (
    <>
      <div class="shard-map" ref={place}>
        <svg
          width={columns * (cell + gap)}
          height={rows * (cell + gap)}
          viewBox={`0 0 ${columns * (cell + gap)} ${rows * (cell + gap)}`}
          role="listbox"
          aria-label={`${shards.length} shards; arrow keys move, Enter chooses`}
          aria-orientation="horizontal"
        >
          <Patterns />
          {shards.map((row, index) => (
            <Cell
              key={row.shard}
              row={row}
              index={index}
              x={(index % columns) * (cell + gap) + 1}
              y={Math.floor(index / columns) * (cell + gap) + 1}
              size={cell}
              color={row.from === null ? null : (colors.get(row.from) ?? 0)}
              isChosen={row.shard === chosen}
              isActive={index === position}
              onKeyDown={onKeyDown}
              onPick={() => {
                setActive(index);
                onChoose(row.shard);
              }}
            />
          ))}
        </svg>
      </div>
      <Legend shards={shards} colors={colors} />
      <details class="alternative">
        <summary>As a table</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label="Shards, as a table">
          <table>
            <thead>
              <tr>
                <th scope="col" class="number">
                  Shard
                </th>
                <th scope="col">Owner</th>
                <th scope="col" class="number">
                  Epoch
                </th>
                <th scope="col">State</th>
                <th scope="col">Pinned to</th>
                <th scope="col">Why</th>
              </tr>
            </thead>
            <tbody>
              {shards.map((row) => (
                <tr key={row.shard}>
                  <td class="number">{row.shard}</td>
                  <td class="clip">{row.from ?? 'nobody'}</td>
                  <td class="number">{row.epoch}</td>
                  <td>{row.kind}</td>
                  <td class="clip">{row.pinnedTo ?? '–'}</td>
                  <td class="wide">{row.why}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}

function Cell(props: {
  readonly row: ShardRow;
  readonly index: number;
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly color: number | null;
  readonly isChosen: boolean;
  readonly isActive: boolean;
  readonly onKeyDown: (event: KeyboardEvent) => void;
  readonly onPick: () => void;
}): JSX.Element {
  const { row, index, x, y, size, color, isChosen, isActive, onKeyDown, onPick } = props;
  const label = `Shard ${row.shard}, owner ${row.from ?? 'nobody'}, epoch ${row.epoch}, ${row.kind}: ${row.why}`;
  const { pattern } = shardKinds[row.kind];
  return (
    <g
      class={`shard ${color === null ? 'is-free' : `owner-${color}`} ${isChosen ? 'is-chosen' : ''}`}
      role="option"
      aria-selected={isChosen}
      aria-label={label}
      tabIndex={isActive ? 0 : -1}
      data-shard-index={index}
      onKeyDown={onKeyDown}
      onClick={onPick}
    >
      <title>{label}</title>
      <rect x={x} y={y} width={size} height={size} rx="4" />
      {pattern !== null && (
        <rect x={x} y={y} width={size} height={size} rx="4" class="pattern" fill={`url(#${pattern})`} />
      )}
      {size >= 24 && (
        <text x={x + size / 2} y={y + size / 2 + 4} text-anchor="middle">
          {row.shard}
        </text>
      )}
      {row.pinnedTo !== null && <circle cx={x + size - 4} cy={y + 4} r="2.5" class="pin" />}
    </g>
  );
}

function Patterns(): JSX.Element {
  const shapes: Readonly<Record<string, string>> = {
    stripes: 'M-2 8L8 -2M2 12L12 2',
    bars: 'M0 3H10M0 8H10',
    cross: 'M0 0L10 10M10 0L0 10',
    dots: 'M2 2h2v2h-2zM7 7h2v2h-2z',
    grid: 'M0 5H10M5 0V10',
  };
  return (
    <defs>
      {Object.entries(shapes).map(([id, path]) => (
        <pattern key={id} id={id} width="10" height="10" patternUnits="userSpaceOnUse" class="ink">
          <path d={path} />
        </pattern>
      ))}
    </defs>
  );
}

function Legend(props: {
  readonly shards: readonly ShardRow[];
  readonly colors: ReadonlyMap<string, number>;
}): JSX.Element {
  const { shards, colors } = props;
  const counts = new Map<string, number>();
  for (const { from } of shards) if (from !== null) counts.set(from, (counts.get(from) ?? 0) + 1);
  const kinds = [...new Set(shards.map(({ kind }) => kind))];
  return (
    <div class="legend">
      {[...colors].map(([nodeId, color]) => (
        <span key={nodeId} class="clip">
          <svg width="14" height="14" viewBox="0 0 14 14" class={`shard owner-${color}`} aria-hidden="true">
            <rect x="1" y="1" width="12" height="12" rx="3" />
          </svg>
          {nodeId} <span class="quiet">{counts.get(nodeId) ?? 0}</span>
        </span>
      ))}
      {kinds.map((kind) => (
        <span key={kind}>
          <svg width="14" height="14" viewBox="0 0 14 14" class="shard" aria-hidden="true">
            <rect x="1" y="1" width="12" height="12" rx="3" />
            {shardKinds[kind].pattern !== null && (
              <rect
                x="1"
                y="1"
                width="12"
                height="12"
                rx="3"
                class="pattern"
                fill={`url(#${shardKinds[kind].pattern})`}
              />
            )}
          </svg>
          {kind} <span class="quiet">{shardKinds[kind].about}</span>
        </span>
      ))}
      {shards.some(({ pinnedTo }) => pinnedTo !== null) && (
        <span>
          <svg width="8" height="8" viewBox="0 0 8 8" class="shard" aria-hidden="true">
            <circle cx="4" cy="4" r="3" class="pin" />
          </svg>
          pinned
        </span>
      )}
    </div>
  );
}
