import type { JSX } from 'preact';
import { useRoute } from 'preact-iso';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { get } from '../api/http.ts';
import type { HistoryRecord, PipelineDetail, TaskView } from '../api/types.ts';
import { nowSignal, useLive } from '../live.ts';
import { taskTopic } from '../live/topics.ts';
import { showDuration } from '../model/durations.ts';
import { ganttOf } from '../model/gantt.ts';
import { machinePath } from '../model/machine-path.ts';
import { commandTexts } from '../model/task-words.ts';
import { GanttChart } from '../parts/gantt-chart.tsx';
import { MachinePicture } from '../parts/machine-picture.tsx';
import { Empty, Loaded, Panel, Screen } from '../parts/screen.tsx';
import { StatusBadge } from '../parts/status-badge.tsx';
import { Ago, Instant } from '../parts/time.tsx';
import { may } from '../session.ts';
import { JournalPanel } from './task-journal.tsx';
import { PayloadsPanel } from './task-payloads.tsx';
import { askTaskCommand } from './task-commands.tsx';
import { WhyPanel } from './task-why.tsx';

const everyMs = 1_000;
const maximumRecords = 5_000;

interface HistoryAnswer {
  readonly records: readonly HistoryRecord[];
  readonly isComplete: boolean;
  readonly missingCount: number;
  readonly recordCount: number;
  readonly next: number | null;
}

/** The records of a task, all pages of them, up to a bound. */
async function loadHistory(taskId: string, signal: AbortSignal): Promise<HistoryAnswer> {
  let answer = await get<HistoryAnswer>(`/api/tasks/${taskId}/history`, {}, signal);
  let records = answer.records;
  while (answer.next !== null && records.length < maximumRecords) {
    answer = await get<HistoryAnswer>(`/api/tasks/${taskId}/history`, { after: answer.next }, signal);
    records = [...records, ...answer.records];
  }
  return { ...answer, records };
}

/** One task: where it stands and why, its way through its machine, its time, its journal and its payloads. */
export function TaskScreen(): JSX.Element {
  const taskId = useRoute().params['taskId'] ?? '';
  return <TaskDetail key={taskId} taskId={taskId} />;
}

function TaskDetail({ taskId }: { readonly taskId: string }): JSX.Element {
  const live = useLive({
    key: `task ${taskId}`,
    everyMs,
    topic: taskTopic(taskId),
    load: (signal) => get<TaskView>(`/api/tasks/${taskId}`, {}, signal),
  });
  const task = live.data;
  // The journal is read only when the task has moved: a read of it costs the shard's whole journal.
  const history = useLive({
    key: `task history ${taskId} ${task?.seq ?? 0}`,
    everyMs: 60_000,
    load: (signal) => loadHistory(taskId, signal),
    isPaused: task === null,
  });
  const [known, setKnown] = useState<HistoryAnswer | null>(null);
  useEffect(() => {
    if (history.data !== null) setKnown(history.data);
  }, [history.data]);
  const pipeline = useLive({
    key: `task pipeline ${task?.pipeline ?? ''} ${task?.version ?? ''}`,
    everyMs: 300_000,
    load: (signal) =>
      get<PipelineDetail>(`/api/pipelines/${task?.pipeline ?? ''}`, { version: task?.version ?? 1 }, signal),
    isPaused: task === null,
  });
  /** The record that is looked at; null: the newest, whatever comes. */
  const [chosen, setChosen] = useState<number | null>(null);
  const records = known?.records ?? [];
  const index = chosen === null ? records.length - 1 : Math.min(chosen, records.length - 1);

  return (
    <Screen
      title={`Task ${taskId}`}
      heading={
        <>
          Task <span class="wrap">{taskId}</span>
        </>
      }
      actions={task !== null && <Commands task={task} onDone={live.refresh} />}
    >
      <Loaded live={live}>
        {(view) => (
          <>
            <Facts task={view} />
            <WhyPanel taskId={taskId} seq={view.seq} />
            <Panel title="Machine" aside={chosen !== null && <span class="quiet">as of record {index + 1}</span>}>
              <TaskMachine
                task={view}
                detail={pipeline.data}
                records={records}
                index={index}
                isLive={chosen === null}
              />
              <TimeTravel count={records.length} index={index} chosen={chosen} onChoose={setChosen} />
            </Panel>
            <Panel title="Stages over time">
              <TaskTime
                task={view}
                records={records}
                cursor={chosen === null ? null : (records[index]?.record.at ?? null)}
              />
            </Panel>
            <StagesPanel task={view} />
            {history.error !== null && known === null ? (
              <Panel title="Journal">
                <Loaded live={history}>{() => null}</Loaded>
              </Panel>
            ) : (
              <JournalPanel
                records={records}
                missingCount={known?.missingCount ?? 0}
                isCutOff={known?.next !== null && known?.next !== undefined}
                index={index}
                onChoose={setChosen}
              />
            )}
            <PayloadsPanel task={view} />
          </>
        )}
      </Loaded>
    </Screen>
  );
}

function Commands({ task, onDone }: { readonly task: TaskView; readonly onDone: () => void }): JSX.Element {
  if (!may('operator')) return <span class="quiet">A viewer looks only.</span>;
  if (task.legalCommands.length === 0) return <span class="quiet">Nothing can be done to it.</span>;
  return (
    <div class="buttons" role="group" aria-label="What this task takes now">
      {task.legalCommands.map((command) => (
        <button key={command} type="button" onClick={() => askTaskCommand({ command, task, onDone })}>
          {commandTexts[command].label}…
        </button>
      ))}
    </div>
  );
}

function Facts({ task }: { readonly task: TaskView }): JSX.Element {
  const { failure, owner, endedAt, submittedAt } = task;
  return (
    <section class="panel" aria-label="Where it stands">
      <dl class="facts in-line">
        <dt>Status</dt>
        <dd>
          <StatusBadge status={task.status} />
          {task.pausing && <span class="quiet"> a pause was asked</span>}
        </dd>
        <dt>State</dt>
        <dd>
          <code>{task.state}</code>
        </dd>
        <dt>Pipeline</dt>
        <dd>
          <a href={`/pipelines/${task.pipeline}`}>{task.pipeline}</a> <span class="quiet">v{task.version}</span>
        </dd>
        <dt>Attempt</dt>
        <dd>{task.attempt === 0 ? '–' : task.attempt}</dd>
        <dt>Owner</dt>
        <dd>
          {owner === null ? 'nobody' : owner.node}{' '}
          <span class="quiet">
            {owner !== null && `epoch ${owner.epoch}, `}shard {task.shard}
          </span>
        </dd>
        <dt>Submitted</dt>
        <dd>
          <Instant at={submittedAt} />
        </dd>
        <dt>{endedAt === null ? 'Changed' : 'Ended'}</dt>
        <dd>
          {endedAt === null ? <Ago at={task.updatedAt} /> : <Instant at={endedAt} />}
          {endedAt !== null && <span class="quiet"> after {showDuration(endedAt - submittedAt)}</span>}
        </dd>
        {task.dueAt !== null && (
          <>
            <dt>Goes on</dt>
            <dd>
              <Ago at={task.dueAt} />
            </dd>
          </>
        )}
      </dl>
      {failure !== null && (
        <div class={`notice ${task.status === 'deadLettered' ? 'notice-bad' : ''}`}>
          <div class="grow">
            <p class="wrap">
              <code>{failure.code === '' ? failure.class : failure.code}</code> {failure.message}
            </p>
            <p class="quiet">
              {failure.class}
              {failure.causes !== undefined &&
                failure.causes.length > 0 &&
                ` · caused by ${failure.causes.join(' · ')}`}
            </p>
          </div>
        </div>
      )}
    </section>
  );
}

function TaskMachine(props: {
  readonly task: TaskView;
  readonly detail: PipelineDetail | null;
  readonly records: readonly HistoryRecord[];
  readonly index: number;
  readonly isLive: boolean;
}): JSX.Element {
  const { task, detail, records, index, isLive } = props;
  const skippable = new Set(detail?.definition?.flatMap(({ name, skip }) => (skip === null ? [] : [name])) ?? []);
  const stages = task.stages.map(({ stage }) => ({ name: stage, canBeSkipped: skippable.has(stage) }));
  const path = useMemo(() => machinePath(records, index), [records, index]);
  // The owner's word is newer than what was read of the journal.
  const active = isLive ? task.state : path.active;
  return (
    <MachinePicture
      stages={stages}
      marks={{
        active,
        counts: path.visits,
        taken: path.edges,
        lastTaken: path.lastEdge,
        sentence: `The machine of ${task.pipeline} with ${stages.length} stages; the task is in ${active}. The tables below tell its way.`,
      }}
    />
  );
}

function TimeTravel(props: {
  readonly count: number;
  readonly index: number;
  readonly chosen: number | null;
  readonly onChoose: (index: number | null) => void;
}): JSX.Element | null {
  const { count, index, chosen, onChoose } = props;
  if (count < 2) return null;
  return (
    <div class="travel">
      <label class="grow">
        <span>Time travel</span>
        <input
          type="range"
          min={0}
          max={count - 1}
          value={index}
          aria-valuetext={`record ${index + 1} of ${count}`}
          onInput={({ currentTarget: { valueAsNumber } }) => onChoose(valueAsNumber)}
        />
      </label>
      <output>
        {index + 1} / {count}
      </output>
      <button type="button" disabled={chosen === null} onClick={() => onChoose(null)}>
        Now
      </button>
    </div>
  );
}

function TaskTime(props: {
  readonly task: TaskView;
  readonly records: readonly HistoryRecord[];
  readonly cursor: number | null;
}): JSX.Element {
  const { task, records, cursor } = props;
  const now = task.endedAt ?? nowSignal.value;
  const gantt = ganttOf(
    records,
    task.stages.map(({ stage }) => stage),
    now,
  );
  if (gantt === null) return <Empty>The journal has not been read yet.</Empty>;
  const untouched = task.stages.length - gantt.lanes.length - gantt.skipped.length;
  return (
    <>
      <GanttChart gantt={gantt} cursor={cursor} />
      {gantt.skipped.length > 0 && (
        <p class="quiet">{gantt.skipped.map(({ stage, reason }) => `${stage} was skipped: ${reason}`).join(' · ')}</p>
      )}
      {untouched > 0 && (
        <p class="quiet">
          {untouched} {untouched === 1 ? 'stage' : 'stages'} not reached
        </p>
      )}
    </>
  );
}

function StagesPanel({ task }: { readonly task: TaskView }): JSX.Element {
  return (
    <Panel title="Stages" class="is-bounded">
      <div class="scroll" tabIndex={0} role="region" aria-label="Stages">
        <table>
          <thead>
            <tr>
              <th scope="col">Stage</th>
              <th scope="col">Status</th>
              <th scope="col" class="number">
                Attempts
              </th>
              <th scope="col" class="number">
                Interruptions
              </th>
              <th scope="col">Started</th>
              <th scope="col" class="number">
                Took
              </th>
              <th scope="col">Checkpoints</th>
            </tr>
          </thead>
          <tbody>
            {task.stages.map((stage) => (
              <tr key={stage.stage}>
                <td class="clip">{stage.stage}</td>
                <td>
                  <StatusBadge status={stage.status} />
                </td>
                <td class="number">{stage.attempts}</td>
                <td class="number">{stage.interruptions}</td>
                <td>
                  <Instant at={stage.startedAt} />
                </td>
                <td class="number">
                  {stage.startedAt === null || stage.endedAt === null
                    ? '–'
                    : showDuration(stage.endedAt - stage.startedAt)}
                </td>
                <td class="clip" title={stage.checkpoints.join(', ')}>
                  {stage.checkpoints.length === 0 ? '–' : stage.checkpoints.join(', ')}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
