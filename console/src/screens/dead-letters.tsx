import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import { get, pathWith } from '../api/http.ts';
import type { DeadLetterGroup, IndexedTask } from '../api/types.ts';
import { useLive } from '../live.ts';
import { deadLettersTopic } from '../live/topics.ts';
import { noTerms, type FilterTerms } from '../model/filter-text.ts';
import { showCount } from '../model/sizes.ts';
import { Empty, Loaded, Panel, Screen } from '../parts/screen.tsx';
import { Ago } from '../parts/time.tsx';
import { may } from '../session.ts';
import { askBulk } from './bulk-dialog.tsx';
import { askTaskCommand } from './task-commands.tsx';

const everyMs = 3_000;
const shownOfGroup = 50;

/** Tasks that were given up, by what they failed of. */
export function DeadLettersScreen(): JSX.Element {
  const { route } = useLocation();
  const live = useLive({
    key: 'dead letters',
    everyMs,
    topic: deadLettersTopic,
    load: (signal) =>
      get<{ readonly groups: readonly DeadLetterGroup[] }>('/api/dead-letters/groups', { limit: 200 }, signal),
  });
  const [open, setOpen] = useState<string | null>(null);
  const groups = live.data?.groups ?? [];
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  const redrive = (terms: FilterTerms): void =>
    askBulk({ action: 'redrive', terms, onStarted: (bulkId) => route(`/bulk/${bulkId}`) });
  return (
    <Screen
      title="Dead letters"
      actions={
        may('operator') &&
        total > 0 && (
          <button type="button" onClick={() => redrive({ ...noTerms, statuses: ['deadLettered'] })}>
            Redrive all…
          </button>
        )
      }
    >
      <Loaded live={live}>
        {() =>
          groups.length === 0 ? (
            <Empty>None: nothing was given up.</Empty>
          ) : (
            <>
              <p class="list-line" role="status">
                {showCount(total)} dead {total === 1 ? 'letter' : 'letters'} of {groups.length}{' '}
                {groups.length === 1 ? 'cause' : 'causes'}
              </p>
              <ul class="groups">
                {groups.map((group) => (
                  <Group
                    key={group.fingerprint ?? 'none'}
                    group={group}
                    isOpen={open === (group.fingerprint ?? 'none')}
                    onOpen={(isOpen) => setOpen(isOpen ? (group.fingerprint ?? 'none') : null)}
                    onRedrive={redrive}
                  />
                ))}
              </ul>
            </>
          )
        }
      </Loaded>
    </Screen>
  );
}

function Group(props: {
  readonly group: DeadLetterGroup;
  readonly isOpen: boolean;
  readonly onOpen: (isOpen: boolean) => void;
  readonly onRedrive: (terms: FilterTerms) => void;
}): JSX.Element {
  const { group, isOpen, onOpen, onRedrive } = props;
  const { fingerprint, count, message, sample } = group;
  return (
    <li class="group panel">
      <div class="group-head">
        <span class="big">{showCount(count)}</span>
        <div class="grow">
          <p class="wrap">
            {sample?.failure !== null && sample !== null && <code>{sample.failure.code ?? sample.failure.class}</code>}{' '}
            {message ?? 'No failure was recorded.'}
          </p>
          <p class="quiet">
            {sample !== null && (
              <>
                {sample.pipeline} v{sample.version} · stage {sample.stage ?? '–'} · {sample.failure?.class ?? '–'} ·
                last <Ago at={sample.updatedAt} />
              </>
            )}
            {fingerprint !== null && (
              <>
                {' · '}
                <a href={pathWith('/tasks', { q: `status:failed fingerprint:${fingerprint}` })}>
                  <code>{fingerprint}</code>
                </a>
              </>
            )}
          </p>
        </div>
        <div class="buttons">
          <button type="button" aria-expanded={isOpen} onClick={() => onOpen(!isOpen)}>
            {isOpen ? 'Hide tasks' : 'Show tasks'}
          </button>
          {may('operator') && fingerprint !== null && (
            <button
              type="button"
              onClick={() => onRedrive({ ...noTerms, statuses: ['deadLettered'], failureFingerprints: [fingerprint] })}
            >
              Redrive group…
            </button>
          )}
        </div>
      </div>
      {isOpen && <GroupTasks fingerprint={fingerprint} count={count} />}
    </li>
  );
}

function GroupTasks({
  fingerprint,
  count,
}: {
  readonly fingerprint: string | null;
  readonly count: number;
}): JSX.Element {
  const live = useLive({
    key: `dead letters of ${fingerprint ?? 'none'}`,
    everyMs,
    topic: deadLettersTopic,
    load: (signal) =>
      get<{ readonly tasks: readonly IndexedTask[] }>(
        '/api/dead-letters',
        { limit: shownOfGroup, ...(fingerprint === null ? {} : { failureFingerprints: [fingerprint] }) },
        signal,
      ),
  });
  return (
    <Loaded live={live}>
      {({ tasks }) => (
        <Panel title="Its tasks" class="is-bounded inner">
          <div class="scroll" tabIndex={0} role="region" aria-label="Dead letters of this cause">
            <table>
              <thead>
                <tr>
                  <th scope="col">Task</th>
                  <th scope="col">Stage</th>
                  <th scope="col" class="number">
                    Failures
                  </th>
                  <th scope="col">Given up</th>
                  <th scope="col">Message</th>
                  <th scope="col">
                    <span class="hidden">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {tasks.map((task) => (
                  <tr key={task.taskId}>
                    <td class="clip">
                      <a href={`/tasks/${task.taskId}`}>{task.taskId}</a>
                    </td>
                    <td class="clip">{task.stage}</td>
                    <td class="number">{task.failureCount}</td>
                    <td>
                      <Ago at={task.updatedAt} />
                    </td>
                    <td class="clip wide" title={task.failure?.message}>
                      {task.failure?.message}
                    </td>
                    <td>
                      {may('operator') && (
                        <button
                          type="button"
                          class="plain"
                          aria-label={`Redrive ${task.taskId}`}
                          onClick={() => askTaskCommand({ command: 'redrive', task, onDone: live.refresh })}
                        >
                          Redrive…
                        </button>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {count > tasks.length && (
            <p class="quiet">
              The newest {tasks.length} of {showCount(count)}.
            </p>
          )}
        </Panel>
      )}
    </Loaded>
  );
}
