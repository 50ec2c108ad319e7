import type { JSX } from 'preact';
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { machineShape, type DrawnStage, type MachineShape, type SubstateShape } from '../model/machine-geometry.ts';
import { edgeKey } from '../model/machine-path.ts';
import { showCount, showSmallCount } from '../model/sizes.ts';
import { placeOf } from '../model/task-words.ts';

/** What the picture tells beside the machine itself. */
export interface MachineMarks {
  /** The state that is filled; null: none. */
  readonly active: string | null;
  /** By state: a number in its corner. */
  readonly counts: ReadonlyMap<string, number>;
  /** By stage: a line of numbers below its states. Left out: there is no room for one. */
  readonly notes?: ReadonlyMap<string, string>;
  /** Edges that were taken, as of {@link edgeKey}; null: it is not about one way. */
  readonly taken: ReadonlySet<string> | null;
  readonly lastTaken?: string | null;
  /** Said in full to those who cannot see it. */
  readonly sentence: string;
}

/** A pipeline's machine. Beside it there must be a table that says the same. */
export function MachinePicture({
  stages,
  marks,
}: {
  readonly stages: readonly DrawnStage[];
  readonly marks: MachineMarks;
}): JSX.Element {
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
  const takenPairs = [...(marks.taken ?? [])].map((key) => key.split('>') as [string, string]);
  const takenKey = takenPairs.join(' ');
  const stageKey = stages.map(({ name, canBeSkipped }) => `${name}${canBeSkipped ? '?' : ''}`).join(' ');
  const hasNotes = marks.notes !== undefined;
  const shape = useMemo(
    () => machineShape(stages, { widthLimit: width, hasNotes, taken: takenPairs }),
    [stageKey, width, hasNotes, takenKey],
  );
  return (
    <div class="machine-place" ref={place}>
      <svg
        class="machine"
        viewBox={`0 0 ${shape.width} ${shape.height}`}
        width={shape.width}
        height={shape.height}
        role="img"
        aria-label={marks.sentence}
      >
        <defs>
          {['arrow', 'arrow-taken'].map((id) => (
            <marker key={id} id={id} viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path class={id} d="M0 0.5L7 4L0 7.5z" />
            </marker>
          ))}
        </defs>
        <Edges shape={shape} marks={marks} />
        <circle
          class={`start ${marks.active === 'new' ? 'is-active' : ''}`}
          cx={shape.start.x}
          cy={shape.start.y}
          r="6"
        />
        {shape.stages.map((stage) => {
          const at = marks.active === null ? null : placeOf(marks.active);
          const isHere = at?.stage === stage.stage;
          const isPlain = stage.substates.length === 0;
          const count = stagesCount(stage.stage, marks.counts);
          return (
            <g
              key={stage.stage}
              class={`stage ${isHere ? 'is-here' : ''} ${isPlain && isHere ? `fill-${at?.status}` : ''}`}
            >
              <title>{stage.label}</title>
              <rect x={stage.x} y={stage.y} width={stage.width} height={stage.height} rx="7" />
              <text x={stage.x + 10} y={stage.y + (isPlain ? stage.height / 2 + 4 : 17)} class="stage-name">
                {fit(stage.label, isPlain && count > 0 ? 15 : 20)}
              </text>
              {isPlain && count > 0 && (
                <text x={stage.x + stage.width - 8} y={stage.y + stage.height / 2 + 4} class="count" text-anchor="end">
                  {showCount(count)}
                </text>
              )}
              {!isPlain && hasNotes && (
                <text x={stage.x + 10} y={stage.y + stage.height - 9} class="note">
                  {marks.notes?.get(stage.stage) ?? ''}
                </text>
              )}
              {stage.substates.map((substate) => (
                <State key={substate.state} shape={substate} marks={marks} />
              ))}
            </g>
          );
        })}
        {shape.ends.map((end) => (
          <State key={end.state} shape={end} marks={marks} isEnd />
        ))}
      </svg>
    </div>
  );
}

function stagesCount(stage: string, counts: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const [state, count] of counts) if (placeOf(state).stage === stage) sum += count;
  return sum;
}

function Edges({ shape, marks }: { readonly shape: MachineShape; readonly marks: MachineMarks }): JSX.Element {
  return (
    <g class="edges">
      {shape.edges.map(({ from, to, path, isSkip }) => {
        const key = edgeKey(from, to);
        const isTaken = marks.taken?.has(key) === true;
        const names = ['edge', isSkip && 'is-skip', isTaken && 'is-taken', marks.lastTaken === key && 'is-last'];
        return (
          <path
            key={key}
            class={names.filter(Boolean).join(' ')}
            d={path}
            marker-end={isTaken ? 'url(#arrow-taken)' : 'url(#arrow)'}
          />
        );
      })}
    </g>
  );
}

function State(props: {
  readonly shape: SubstateShape;
  readonly marks: MachineMarks;
  readonly isEnd?: boolean;
}): JSX.Element {
  const { shape, marks, isEnd } = props;
  const { state, label, x, y, width, height } = shape;
  const { status } = placeOf(state);
  const count = marks.counts.get(state) ?? 0;
  const isActive = marks.active === state;
  return (
    <g
      class={`substate fill-${status} ${isActive ? 'is-active' : ''} ${count > 0 ? 'was-here' : ''} ${isEnd === true ? 'is-end' : ''}`}
    >
      <rect x={x} y={y} width={width} height={height} rx={height / 2} />
      <text x={x + (count > 0 ? 7 : width / 2)} y={y + height / 2 + 3.5} text-anchor={count > 0 ? 'start' : 'middle'}>
        {label}
      </text>
      {count > 0 && (
        <text x={x + width - 6} y={y + height / 2 + 3.5} text-anchor="end" class="count">
          {showSmallCount(count)}
        </text>
      )}
    </g>
  );
}

function fit(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
