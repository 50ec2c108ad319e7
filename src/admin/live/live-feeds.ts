import { asError, EngineError, unreachable } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Journal } from '../../ports/journal.ts';
import type { Logger } from '../../ports/logger.ts';
import type { RouteDeps } from '../admin-deps.ts';
import { showRun } from '../routes/bulk.ts';
import { EventFilter } from './event-filter.ts';
import { EventHub, type EventHubLimits } from './event-hub.ts';
import { EventRates } from './event-rates.ts';
import { EventSubscription } from './event-subscription.ts';
import type { FeedRequest, FeedSink } from './feed.ts';
import type { Feeds } from './live-connection.ts';
import { StateFeed, type StateSource } from './state-feed.ts';
import { TaskChangeFeed } from './task-changes.ts';
import { Turns } from './turns.ts';

/** Subscribers that read the journal for themselves at once. */
const maximumReaders = 4;
/** Pace of the states that are looked at, each once for all who look. */
const paceMs = { overview: 500, cluster: 1_000, deadLetters: 1_000, bulk: 500, audit: 1_000 } as const;
const maximumGroups = 50;
const maximumAuditLines = 50;

/** What {@link LiveFeeds} works with. */
export interface LiveFeedsDeps extends Pick<RouteDeps, 'client' | 'index' | 'audit' | 'bulk'> {
  readonly journal: Journal;
  readonly namespace: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Latencies as the host measures them, for the overview; null without. */
  readonly latencies?: (() => Promise<unknown>) | undefined;
  readonly hub?: Partial<EventHubLimits> | undefined;
}

/** All topics of the socket: each is followed or read once, however many look at it, and not at all while nobody does. */
export class LiveFeeds implements Feeds {
  readonly #deps: LiveFeedsDeps;
  readonly #hub: EventHub;
  readonly #rates: EventRates;
  readonly #turns = new Turns(maximumReaders);
  readonly #states = new Map<string, StateFeed>();
  readonly #changes = new Map<string, TaskChangeFeed>();

  constructor(deps: LiveFeedsDeps) {
    this.#deps = deps;
    this.#hub = new EventHub({ ...deps, limits: deps.hub });
    this.#rates = new EventRates(deps.clock);
    this.#hub.listen((item) => this.#rates.note(item));
  }

  open(request: FeedRequest, sink: FeedSink): () => void {
    const { topic } = request;
    const { client, bulk } = this.#deps;
    switch (topic.kind) {
      case 'events':
        return this.#openEvents(topic.filter, request, sink, async () => 'null');
      case 'task': {
        const filter = new EventFilter({ taskIds: [topic.taskId] });
        return this.#openEvents(filter, request, sink, async () => {
          const { input: _input, outputs: _outputs, ...task } = await client.get(topic.taskId);
          return JSON.stringify(task);
        });
      }
      case 'tasks': {
        const { filter } = topic;
        const { index, clock } = this.#deps;
        const key = JSON.stringify(filter);
        const onEmpty = (): void => void this.#changes.delete(key);
        const feed = this.#changes.get(key) ?? new TaskChangeFeed({ index, clock, hub: this.#hub, filter, onEmpty });
        this.#changes.set(key, feed);
        return feed.join(sink);
      }
      case 'bulk': {
        const read = async (): Promise<unknown> => showRun(bulk.get(topic.bulkId));
        return this.#openState(`bulk:${topic.bulkId}`, { read, everyMs: paceMs.bulk }, sink);
      }
      case 'overview': {
        const release = this.#hub.use();
        const unwatch = this.#rates.watch();
        const source = { read: () => this.#readOverview(), everyMs: paceMs.overview };
        const leave = this.#openState(topic.kind, source, sink);
        return () => {
          leave();
          unwatch();
          release();
        };
      }
      case 'cluster':
        return this.#openState(topic.kind, { read: () => client.cluster.status(), everyMs: paceMs.cluster }, sink);
      case 'dead-letters':
        return this.#openState(topic.kind, { read: () => this.#readDead(), everyMs: paceMs.deadLetters }, sink);
      case 'audit':
        return this.#openState(topic.kind, { read: () => this.#readAudit(), everyMs: paceMs.audit }, sink);
      default:
        return unreachable(topic);
    }
  }

  stop(): Promise<void> {
    return this.#hub.stop();
  }

  #openEvents(
    filter: EventFilter,
    { resumeFrom, allowsGap }: FeedRequest,
    sink: FeedSink,
    snapshot: () => Promise<string>,
  ): () => void {
    const { journal, namespace, logger } = this.#deps;
    const deps = { hub: this.#hub, journal, namespace, turns: this.#turns };
    const subscription = new EventSubscription(deps, { filter, allowsGap, sink });
    subscription.run(resumeFrom, snapshot).catch((thrown: unknown) => {
      logger.error({ err: asError(thrown) }, 'a subscription ended in a way that it must not');
      subscription.end();
      sink.failed(new EngineError('INTERNAL', asError(thrown).message));
    });
    return () => subscription.end();
  }

  #openState(key: string, source: StateSource, sink: FeedSink): () => void {
    const { clock } = this.#deps;
    const known = this.#states.get(key);
    const feed = known ?? new StateFeed({ source, clock, onEmpty: () => this.#states.delete(key) });
    this.#states.set(key, feed);
    return feed.join(sink);
  }

  async #readOverview(): Promise<unknown> {
    const { index, client, latencies } = this.#deps;
    const [statuses, pipelines, cluster, times] = await Promise.all([
      index.countBy('status', {}, 16),
      index.countBy('pipeline', { statuses: ['queued', 'running', 'backingOff', 'held', 'unknown'] }, maximumGroups),
      client.cluster.status(),
      latencies?.() ?? null,
    ]);
    const { nodes, moves, takeovers, free, isBalanced } = cluster;
    return {
      statuses,
      unfinishedByPipeline: pipelines,
      eventsPerSecond: this.#rates.perSecond(),
      nodes: nodes.map(({ nodeId, status, owned, loopLagMs }) => ({ nodeId, status, owned, loopLagMs })),
      shards: { moves, takeovers, free, isBalanced },
      latencies: times,
      position: index.position,
    };
  }

  async #readDead(): Promise<unknown> {
    const { index } = this.#deps;
    const filter = { statuses: ['deadLettered'] } as const;
    const [count, groups] = await Promise.all([
      index.count(filter),
      index.countBy('failureFingerprint', filter, maximumGroups),
    ]);
    return { count, groups, position: index.position };
  }

  async #readAudit(): Promise<unknown> {
    const { audit, clock } = this.#deps;
    const before = clock.now() + 1;
    const { entries } = await audit.list({ before, limit: maximumAuditLines });
    return { entries };
  }
}
