import type { JSX } from 'preact';
import { useLocation, useRoute } from 'preact-iso';
import { useRef } from 'preact/hooks';
import { quantileOf } from '../../../src/core/histogram.ts';
import { get, getText, pathWith } from '../api/http.ts';
import type { PipelineDetail, PipelineSummary, TaskGroup } from '../api/types.ts';
import { useLive } from '../live.ts';
import { countsTopic } from '../live/topics.ts';
import { showDuration } from '../model/durations.ts';
import { metricWindowMs, recentHistogram, withLook, type MetricLook } from '../model/metric-window.ts';
import { histogramOf, readMetrics } from '../model/metrics-text.ts';
import { showCount, showRate } from '../model/sizes.ts';
import { activeStatuses, statusNames } from '../model/task-words.ts';
import { MachinePicture } from '../parts/machine-picture.tsx';
import { Empty, Loaded, Panel, Screen } from '../parts/screen.tsx';
import { may } from '../session.ts';
import { StartForm } from './start-form.tsx';

const everyMs = 3_000;
const metricsEveryMs = 5_000;
const durationName = 'cabinet_stage_duration_seconds';

/** All pipelines in all versions that the engine runs. */
export function PipelinesScreen(): JSX.Element {
  const live = useLive({
    key: 'pipelines',
    everyMs: 10_000,
    topic: countsTopic,
    load: async (signal) => {
      const [{ pipelines }, { groups }] = await Promise.all([
        get<{ readonly pipelines: readonly PipelineSummary[] }>('/api/pipelines', {}, signal),
        get<{ readonly groups: readonly TaskGroup[] }>(
          '/api/tasks/groups',
          { by: 'pipeline', statuses: activeStatuses },
          signal,
        ),
      ]);
      return { pipelines, active: new Map(groups.map(({ key, count }) => [String(key), count])) };
    },
  });
  return (
    <Screen title="Pipelines">
      <Loaded live={live}>
        {({ pipelines, active }) =>
          pipelines.length === 0 ? (
            <Empty>The engine runs none.</Empty>
          ) : (
            <div class="scroll" tabIndex={0} role="region" aria-label="Pipelines">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Pipeline</th>
                    <th scope="col">Version</th>
                    <th scope="col" class="number">
                      Active tasks
                    </th>
                    <th scope="col" class="number">
                      Stages
                    </th>
                    <th scope="col">In order</th>
                  </tr>
                </thead>
                <tbody>
                  {pipelines.map(({ name, version, stages }) => (
                    <tr key={`${name} ${version}`}>
                      <td>
                        <a href={`/pipelines/${name}?version=${version}`}>{name}</a>
                      </td>
                      <td>v{version}</td>
                      <td class="number">
                        <a href={pathWith('/tasks', { q: `status:active pipeline:${name}` })}>
                          {showCount(active.get(name) ?? 0)}
                        </a>
                      </td>
                      <td class="number">{stages.length}</td>
                      <td class="clip wide" title={stages.join(' → ')}>
                        {stages.join(' → ')}
                      </td>
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

/** One pipeline: its machine with the tasks that stand in each state, its stages with their times, and a form to start a task. */
export function PipelineScreen(): JSX.Element {
  const { params } = useRoute();
  const { query } = useLocation();
  const name = params['pipeline'] ?? '';
  const version = /^\d+$/.test(query['version'] ?? '') ? Number(query['version']) : undefined;
  const detail = useLive({
    key: `pipeline ${name} ${version ?? ''}`,
    everyMs: 60_000,
    load: (signal) => get<PipelineDetail>(`/api/pipelines/${name}`, { version }, signal),
  });
  const shown = detail.data?.version;
  const counts = useLive({
    key: `pipeline counts ${name} ${shown ?? ''}`,
    everyMs,
    topic: countsTopic,
    isPaused: shown === undefined,
    load: (signal) => loadCounts(name, shown ?? 1, signal),
  });
  const metrics = useLive({
    key: 'metrics',
    everyMs: metricsEveryMs,
    load: async (signal) => readMetrics(await getText('/metrics', signal), 'cabinet_stage_'),
  });
  const looks = useLooks(metrics.data, metrics.loadedAt);
  return (
    <Screen title={`Pipeline ${name}`} actions={detail.data !== null && <Versions detail={detail.data} />}>
      <Loaded live={detail}>
        {(pipeline) => (
          <>
            <Panel
              title="Machine"
              aside={<span class="quiet">tasks in each state now; attempts and p95 of the last minute</span>}
            >
              <Loaded live={counts}>
                {(states) => (
                  <MachinePicture
                    stages={pipeline.stages.map((stage) => ({
                      name: stage,
                      canBeSkipped:
                        pipeline.definition?.some((one) => one.name === stage && one.skip !== null) === true,
                    }))}
                    marks={{
                      active: null,
                      counts: states,
                      notes: new Map(pipeline.stages.map((stage) => [stage, noteOf(looks, name, stage)])),
                      taken: null,
                      sentence: `The machine of ${name} with ${pipeline.stages.length} stages. The table below has the tasks in each state.`,
                    }}
                  />
                )}
              </Loaded>
            </Panel>
            <Stages pipeline={pipeline} counts={counts.data ?? new Map()} looks={looks} />
            {may('operator') && (
              <StartForm key={`${name} ${pipeline.version}`} pipeline={name} version={pipeline.version} />
            )}
          </>
        )}
      </Loaded>
    </Screen>
  );
}

/** The numbers of the last minute, as far as the page has looked. */
function useLooks(samples: MetricLook['samples'] | null, at: number | null): readonly MetricLook[] {
  const looks = useRef<readonly MetricLook[]>([]);
  if (samples !== null && at !== null && looks.current.at(-1)?.at !== at) {
    looks.current = withLook(looks.current, { at, samples });
  }
  return looks.current;
}

function noteOf(looks: readonly MetricLook[], pipeline: string, stage: string): string {
  const took = recentHistogram(looks, durationName, { pipeline, stage });
  if (took.perSecond === null) return '';
  return took.count === 0 ? '0/s' : `${showRate(took.perSecond)}/s · p95 ${seconds(quantileOf(took, 0.95))}`;
}

/** Tasks by state, from what the index can count: by stage, once for each status; the ended ones by status. */
async function loadCounts(
  pipeline: string,
  version: number,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const inStages = [...activeStatuses, 'deadLettered'];
  const one = { pipelines: [pipeline], versions: [version] };
  const groupsOf = async (by: string, statuses: readonly string[]): Promise<readonly TaskGroup[]> =>
    (await get<{ readonly groups: readonly TaskGroup[] }>('/api/tasks/groups', { ...one, by, statuses }, signal))
      .groups;
  const [ended, ...byStage] = await Promise.all([
    groupsOf('status', ['completed', 'canceled']),
    ...inStages.map((status) => groupsOf('stage', [status])),
  ]);
  const counts = new Map(ended.map(({ key, count }) => [String(key), count]));
  byStage.forEach((groups, index) => {
    const status = inStages[index] ?? '';
    for (const { key, count } of groups) {
      if (key !== null) counts.set(status === 'deadLettered' ? `deadLettered.${key}` : `${key}.${status}`, count);
    }
  });
  return counts;
}

function Versions({ detail }: { readonly detail: PipelineDetail }): JSX.Element {
  return (
    <span>
      {detail.versions.map((version) =>
        version === detail.version ? (
          <strong key={version}>v{version} </strong>
        ) : (
          <a key={version} href={`/pipelines/${detail.name}?version=${version}`}>
            v{version}{' '}
          </a>
        ),
      )}
      <a href={pathWith('/tasks', { q: `pipeline:${detail.name} version:${detail.version}` })}>Its tasks</a>
    </span>
  );
}

function Stages(props: {
  readonly pipeline: PipelineDetail;
  readonly counts: ReadonlyMap<string, number>;
  readonly looks: readonly MetricLook[];
}): JSX.Element {
  const { pipeline, counts, looks } = props;
  const definitions = new Map(pipeline.definition?.map((stage) => [stage.name, stage]) ?? []);
  const columns = [...activeStatuses, 'deadLettered'] as const;
  return (
    <Panel
      title="Stages"
      class="is-bounded"
      aside={<span class="quiet">rates and times of the last {showDuration(spanOf(looks))}; attempts in all</span>}
    >
      <div class="scroll" tabIndex={0} role="region" aria-label="Stages">
        <table>
          <thead>
            <tr>
              <th scope="col">Stage</th>
              {columns.map((status) => (
                <th key={status} scope="col" class="number">
                  {statusNames[status]}
                </th>
              ))}
              <th scope="col" class="number">
                Attempts
              </th>
              <th scope="col" class="number">
                Per s
              </th>
              <th scope="col" class="number">
                Failed
              </th>
              <th scope="col" class="number">
                p50
              </th>
              <th scope="col" class="number">
                p95
              </th>
              <th scope="col" class="number">
                Queue p95
              </th>
              <th scope="col">Limits</th>
            </tr>
          </thead>
          <tbody>
            {pipeline.stages.map((stage) => {
              const labels = { pipeline: pipeline.name, stage };
              const all = histogramOf(looks.at(-1)?.samples ?? [], durationName, labels);
              const took = recentHistogram(looks, durationName, labels);
              const good = recentHistogram(looks, durationName, { ...labels, outcome: 'completed' });
              const waited = recentHistogram(looks, 'cabinet_stage_queue_seconds', labels);
              const known = definitions.get(stage);
              return (
                <tr key={stage}>
                  <td class="clip">{stage}</td>
                  {columns.map((status) => {
                    const state = status === 'deadLettered' ? `deadLettered.${stage}` : `${stage}.${status}`;
                    const count = counts.get(state) ?? 0;
                    const q = `status:${status} pipeline:${pipeline.name} stage:${stage}`;
                    return (
                      <td key={status} class="number">
                        {count === 0 ? (
                          <span class="quiet">0</span>
                        ) : (
                          <a href={pathWith('/tasks', { q })}>{showCount(count)}</a>
                        )}
                      </td>
                    );
                  })}
                  <td class="number">{all.count === 0 ? '–' : showCount(all.count)}</td>
                  <td class="number">{took.perSecond === null ? '–' : showRate(took.perSecond)}</td>
                  <td class="number">
                    {took.count === 0 ? '–' : `${((100 * (took.count - good.count)) / took.count).toFixed(1)} %`}
                  </td>
                  <td class="number">{seconds(quantileOf(took, 0.5))}</td>
                  <td class="number">{seconds(quantileOf(took, 0.95))}</td>
                  <td class="number">{seconds(quantileOf(waited, 0.95))}</td>
                  <td class="limits">
                    {[
                      known === undefined ? null : `${known.retry.maxAttempts} attempts`,
                      known === undefined || known.timeoutMs === null ? null : `${showDuration(known.timeoutMs)} each`,
                      known?.effect === 'atMostOnce' ? 'at most once' : null,
                      known?.concurrency === null || known === undefined ? null : `${known.concurrency} at one time`,
                      known?.port === null || known === undefined ? null : `port ${known.port}`,
                      known?.skip === null || known === undefined ? null : `skipped when ${known.skip}`,
                    ]
                      .filter((text) => text !== null)
                      .join(' · ') || '–'}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function spanOf(looks: readonly MetricLook[]): number {
  return Math.min(metricWindowMs, (looks.at(-1)?.at ?? 0) - (looks[0]?.at ?? 0));
}

function seconds(value: number | null): string {
  return value === null ? '–' : showDuration(value * 1_000);
}
