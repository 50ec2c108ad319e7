import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { MachinePicture } from '../src/parts/machine-picture.tsx';
import { afterFrames, marksAt, nothingYet, type Inspection, type Moment } from './frames.ts';
import { follow, type StreamState, type Target } from './stream.ts';

const speeds = [
  ['max', 'at once'],
  ['10', '10 × as it happened'],
  ['1', 'as it happened'],
] as const;
/** Lines of the list on each side of the chosen one: a browser draws thousands of them slowly. */
const shownAround = 250;

/** One task: its machine with the active state, its events, and a slider through time. */
export function Inspector({ target }: { readonly target: Target }): JSX.Element {
  const [inspection, setInspection] = useState<Inspection>(nothingYet);
  const [state, setState] = useState<StreamState>({ kind: 'connecting' });
  const [run, setRun] = useState({ speed: 'max', count: 0 });
  /** Null: the newest. */
  const [chosen, setChosen] = useState<number | null>(null);

  useEffect(() => {
    setInspection(nothingYet);
    setChosen(null);
    return follow(target, run.speed, {
      frames: (frames) => setInspection((before) => afterFrames(before, frames)),
      state: setState,
    });
  }, [target, run]);

  const { moments, stages, pipeline } = inspection;
  const last = moments.length - 1;
  const index = Math.min(chosen ?? last, last);
  const moment = moments[index];
  const marks = useMemo(() => marksAt(moments, index), [moments, index]);
  const choose = (next: number): void => setChosen(next >= last ? null : Math.max(0, next));

  return (
    <main class="inspector">
      <div class="screen-head">
        <h1>
          {target.taskId} <span class="quiet">{pipeline}</span>
        </h1>
        <label>
          Speed{' '}
          <select
            value={run.speed}
            onChange={({ currentTarget }) => setRun({ speed: currentTarget.value, count: run.count + 1 })}
          >
            {speeds.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <button type="button" onClick={() => setRun({ ...run, count: run.count + 1 })}>
          Replay
        </button>
      </div>
      <p class="quiet" role="status">
        {connectionText(state)} {moment !== undefined && <strong data-active={moment.state}>{moment.state}</strong>}
        {chosen !== null && ` at event ${index + 1} of ${moments.length}`}
      </p>
      <section class="panel" aria-label="Machine">
        <MachinePicture stages={stages} marks={marks} />
      </section>
      <div class="slider">
        <label for="time">Time</label>
        <input
          id="time"
          type="range"
          min={0}
          max={Math.max(0, last)}
          value={Math.max(0, index)}
          aria-valuetext={moment === undefined ? 'nothing yet' : `${moment.label}, ${moment.state}`}
          onInput={({ currentTarget }) => choose(Number(currentTarget.value))}
        />
        <button type="button" disabled={chosen === null} onClick={() => setChosen(null)}>
          Newest
        </button>
      </div>
      <div class="two">
        <MomentList moments={moments} index={index} onChoose={choose} />
        <section class="panel" aria-label="Details">
          <h2>Details</h2>
          <pre class="json" tabIndex={0} role="region" aria-label="The message">
            {moment === undefined ? '' : JSON.stringify(detailsOf(moment), null, 2)}
          </pre>
        </section>
      </div>
    </main>
  );
}

function MomentList(props: {
  readonly moments: readonly Moment[];
  readonly index: number;
  readonly onChoose: (index: number) => void;
}): JSX.Element {
  const { moments, index, onChoose } = props;
  const line = useRef<HTMLTableRowElement>(null);
  useEffect(() => line.current?.scrollIntoView({ block: 'nearest' }), [index]);
  const begin = Math.max(0, Math.min(index - shownAround, moments.length - 2 * shownAround));
  const shown = moments.slice(begin, begin + 2 * shownAround);
  const move = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    onChoose(Math.min(moments.length - 1, index + step));
  };
  return (
    <section class="panel" aria-label="Events">
      <h2>Events</h2>
      <div class="moments" tabIndex={0} role="region" aria-label="Events; arrow keys move in time" onKeyDown={move}>
        <table>
          <thead>
            <tr>
              <th scope="col" class="number">
                No
              </th>
              <th scope="col">At</th>
              <th scope="col">Event</th>
              <th scope="col">From</th>
              <th scope="col">State after it</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((moment, offset) => {
              const at = begin + offset;
              const names = [at === index && 'is-chosen', moment.isEngine && 'is-engine'];
              return (
                <tr key={at} class={names.filter(Boolean).join(' ')} ref={at === index ? line : null}>
                  <td class="number">
                    <button
                      type="button"
                      class="plain"
                      aria-pressed={at === index}
                      aria-label={`Show event ${at + 1}`}
                      onClick={() => onChoose(at)}
                    >
                      {at + 1}
                    </button>
                  </td>
                  <td>{moment.at === 0 ? '' : new Date(moment.at).toISOString().slice(11, 23)}</td>
                  <td>{moment.label}</td>
                  <td>{moment.source ?? ''}</td>
                  <td>{moment.state}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** A moment's message without the machine, which the picture shows. */
function detailsOf({ frame }: Moment): object {
  const { definition: _definition, stages: _stages, ...rest } = frame;
  return rest;
}

function connectionText(state: StreamState): string {
  if (state.kind === 'closed') return `The stream has ended: ${state.reason}.`;
  return state.kind === 'open' ? 'Connected.' : 'Connecting…';
}
