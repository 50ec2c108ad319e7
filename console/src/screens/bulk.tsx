import type { JSX } from 'preact';
import { useRoute } from 'preact-iso';
import { get, post } from '../api/http.ts';
import type { BulkRunView } from '../api/types.ts';
import { useLive } from '../live.ts';
import { bulkTopic } from '../live/topics.ts';
import { bulkOrderLine } from '../model/cli-command.ts';
import { showCount } from '../model/sizes.ts';
import { showDuration } from '../model/durations.ts';
import { ask } from '../parts/action-dialog.tsx';
import { Empty, Loaded, Panel, Screen } from '../parts/screen.tsx';
import { Ago } from '../parts/time.tsx';
import { may } from '../session.ts';

const everyMs = 1_000;

const phaseTexts: Readonly<Record<BulkRunView['phase'], string>> = {
  selecting: 'selects its tasks',
  firstBatch: 'sends the first batch',
  watching: 'watches the first batch',
  rest: 'sends the rest',
  settling: 'waits for the outcome',
  ended: 'ended',
};

function phaseOf({ phase, isPaused, end }: BulkRunView): string {
  if (phase === 'ended')
    return { completed: 'completed', stopped: 'stopped: too many failures', aborted: 'aborted' }[end ?? 'completed'];
  return isPaused ? `held; it ${phaseTexts[phase]}` : phaseTexts[phase];
}

/** The bulk actions, the newest first. */
export function BulkScreen(): JSX.Element {
  const live = useLive({
    key: 'bulk',
    everyMs: 2_000,
    load: (signal) => get<{ readonly runs: readonly BulkRunView[] }>('/api/bulk', {}, signal),
  });
  return (
    <Screen title="Bulk actions">
      <Loaded live={live}>
        {({ runs }) =>
          runs.length === 0 ? (
            <Empty>
              None yet. They begin at a filter of <a href="/tasks">tasks</a>, or at a group of{' '}
              <a href="/dead-letters">dead letters</a>.
            </Empty>
          ) : (
            <div class="scroll" tabIndex={0} role="region" aria-label="Bulk actions">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Action</th>
                    <th scope="col">State</th>
                    <th scope="col" class="number">
                      Sent
                    </th>
                    <th scope="col" class="number">
                      Failed
                    </th>
                    <th scope="col">By</th>
                    <th scope="col">Began</th>
                    <th scope="col">Reason</th>
                  </tr>
                </thead>
                <tbody>
                  {runs.map((run) => (
                    <tr key={run.bulkId}>
                      <td>
                        <a href={`/bulk/${run.bulkId}`}>
                          {run.action} {showCount(run.selected)} {run.selected === 1 ? 'task' : 'tasks'}
                        </a>
                      </td>
                      <td>{phaseOf(run)}</td>
                      <td class="number">
                        {showCount(run.sent)} / {showCount(run.selected)}
                      </td>
                      <td class="number">{showCount(run.failed + run.failedAgain)}</td>
                      <td class="clip">{run.by}</td>
                      <td>
                        <Ago at={run.createdAt} />
                      </td>
                      <td class="clip">{run.reason}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
    </Screen>
  );
}

/** One bulk action: how far it is, what failed, and how to hold or end it. */
export function BulkRunScreen(): JSX.Element {
  const bulkId = useRoute().params['bulkId'] ?? '';
  const live = useLive({
    key: `bulk ${bulkId}`,
    everyMs,
    topic: bulkTopic(bulkId),
    load: (signal) => get<BulkRunView>(`/api/bulk/${bulkId}`, {}, signal),
  });
  const run = live.data;
  return (
    <Screen
      title={run === null ? 'Bulk action' : `Bulk ${run.action}`}
      actions={
        run !== null && run.phase !== 'ended' && may('operator') && <RunButtons run={run} onDone={live.refresh} />
      }
    >
      <Loaded live={live}>
        {(current) => (
          <>
            <Progress run={current} />
            <Panel title="What it is">
              <dl class="facts">
                <Fact label="Filter">
                  <code class="wrap">{JSON.stringify(current.filter)}</code>
                </Fact>
                <Fact label="By">{current.by}</Fact>
                <Fact label="Reason">{current.reason ?? '–'}</Fact>
                <Fact label="Began">
                  <Ago at={current.createdAt} />
                </Fact>
                <Fact label="Pace">
                  first {current.pace.firstBatch}, watched {showDuration(current.pace.watchMs)} at most, then{' '}
                  {current.pace.ratePerSecond} a second; stops at {current.pace.stopAtFailurePercent} % failures
                </Fact>
              </dl>
            </Panel>
            <Panel title={`Failed commands (${current.failed})`}>
              {current.failures.length === 0 ? (
                <Empty>None.</Empty>
              ) : (
                <div class="scroll" tabIndex={0} role="region" aria-label="Failed commands">
                  <table>
                    <thead>
                      <tr>
                        <th scope="col">Task</th>
                        <th scope="col">Code</th>
                        <th scope="col">Message</th>
                      </tr>
                    </thead>
                    <tbody>
                      {current.failures.map((failure) => (
                        <tr key={failure.taskId}>
                          <td class="clip">
                            <a href={`/tasks/${failure.taskId}`}>{failure.taskId}</a>
                          </td>
                          <td>
                            <code>{failure.code}</code>
                          </td>
                          <td>{failure.message}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
              )}
            </Panel>
          </>
        )}
      </Loaded>
    </Screen>
  );
}

function Progress({ run }: { readonly run: BulkRunView }): JSX.Element {
  const { selected, sent, done, skipped, failed, failedAgain } = run;
  return (
    <section class="panel" aria-label="Progress">
      <p role="status">
        <strong>{phaseOf(run)}</strong> · {showCount(sent)} of {showCount(selected)} sent
      </p>
      <progress max={Math.max(1, selected)} value={sent} aria-label="Tasks that were commanded" />
      <dl class="tiles small">
        {(
          [
            ['Done', done],
            ['Skipped', skipped],
            ['Failed', failed],
            ['Failed again', failedAgain],
          ] as const
        ).map(([label, count]) => (
          <div key={label} class={`tile ${label.startsWith('Failed') && count > 0 ? 'is-bad' : ''}`}>
            <dt>{label}</dt>
            <dd>
              <span class="big">{showCount(count)}</span>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Fact({
  label,
  children,
}: {
  readonly label: string;
  readonly children: JSX.Element['props']['children'];
}): JSX.Element {
  return (
    <>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </>
  );
}

function RunButtons({ run, onDone }: { readonly run: BulkRunView; readonly onDone: () => void }): JSX.Element {
  const order = (name: 'pause' | 'resume' | 'abort', verb: string, about: string): void =>
    ask({
      title: `${verb} this bulk action`,
      verb,
      about: <p>{about}</p>,
      isDangerous: name === 'abort',
      ...(name === 'abort' ? { confirmWord: 'abort' } : {}),
      commandLine: ({ reason }) => bulkOrderLine(name, run.bulkId, { origin: window.location.origin, reason }),
      run: async ({ reason }) => {
        await post(`/api/bulk/${run.bulkId}/${name}`, reason === undefined ? {} : { reason });
        return `Bulk ${run.action}: ${name}`;
      },
      onDone,
    });
  return (
    <div class="buttons">
      {run.isPaused ? (
        <button type="button" onClick={() => order('resume', 'Go on', 'It goes on from where it was held.')}>
          Go on…
        </button>
      ) : (
        <button type="button" onClick={() => order('pause', 'Hold', 'No further task is commanded until it goes on.')}>
          Hold…
        </button>
      )}
      <button
        type="button"
        onClick={() => order('abort', 'End', 'No further task is commanded. What was commanded stays as it is.')}
      >
        End…
      </button>
    </div>
  );
}
