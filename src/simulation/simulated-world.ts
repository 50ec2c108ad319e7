import { checkHistory, formatViolation } from '../checking/check-history.ts';
import type { DeadLetterEvent, HistoryEvent } from '../checking/history-events.ts';
import { HistoryRecorder } from '../checking/history-recorder.ts';
import type { InvariantId } from '../checking/invariant.ts';
import type { JsonValue } from '../core/json.ts';
import type { TaskView } from '../core/task-view.ts';
import { SeededRandom } from '../platform/seeded-random.ts';
import { metricCatalog } from '../ports/metric-catalog.ts';
import { applyToDeadLetters, type DeadLetters } from '../projections/dead-letters.ts';
import { maximumPageSize } from '../transport/parse-command.ts';
import { ClientProcess } from './client-process.ts';
import { CountingMetrics } from './counting-metrics.ts';
import { drawFaults, type PlannedFault } from './fault-plan.ts';
import { FaultRunner } from './fault-runner.ts';
import { instrumentPipeline } from './instrument.ts';
import { goodNetwork, Network } from './network.ts';
import { OutsideWorld } from './outside-world.ts';
import { RunLog } from './run-log.ts';
import { Scheduler } from './scheduler.ts';
import type { ResolvedOptions } from './simulation-options.ts';
import type { SimulationReport } from './simulation-report.ts';
import { BusServer } from './simulated-bus.ts';
import { entryOf } from './simulated-journal.ts';
import { SimulatedNode } from './simulated-node.ts';
import { drawSettings, type WorldSettings } from './settings.ts';
import { StoreServer } from './store-server.ts';
import { TaskTracker } from './task-tracker.ts';
import { ShardWatch } from './watched-ports.ts';
import { effectStages, troubles } from './world-pipelines.ts';
import type { WorldParts } from './world-parts.ts';
import { Workload, type PlannedTask } from './workload.ts';

const startAt = Date.UTC(2026, 0, 1);
/** Part of the simulated time in which faults are made. */
const faultPart = 0.6;
/** Longest that work may take to come to rest when all is healed. */
const restWithinMs = 45 * 60_000;
/** For how long operators go on when all is healed. */
const operatorsAfterMs = 60_000;
/** Between two looks whether all rests. */
const lookMs = 5_000;
const clockDrift = 0.000_5;
/** What a shard may take to find an owner beside the times of leases: suspicion, its turn among those to be opened, the reading of its journal. */
const openingMs = 10_000;

/** What a simulation is there to prove: a history that could not judge one of these would be no proof of it. */
const needs: readonly InvariantId[] = [
  ...(['J1', 'J2', 'A1', 'A2', 'A3'] as const),
  ...([
    'I1',
    'I2',
    'I3',
    'I4',
    'I5',
    'I6',
    'I8',
    'I9',
    'I10',
    'I11',
    'I12',
    'I13',
    'I14',
    'I15',
    'I16',
    'I17',
    'I18',
  ] as const),
  ...([
    'I20',
    'I21',
    'I22',
    'I24',
    'I26',
    'I27',
    'I28',
    'I29',
    'I30',
    'I31',
    'I32',
    'I39',
    'I40',
    'I44',
    'I45',
    'I47',
  ] as const),
  'I50',
];

/** One seed's world, from its first event to its last. */
export class SimulatedWorld {
  readonly #options: ResolvedOptions;
  readonly #settings: WorldSettings;
  readonly #parts: WorldParts;
  readonly #nodes: readonly SimulatedNode[];
  readonly #clients: readonly ClientProcess[];
  readonly #tracker: TaskTracker;
  readonly #workload: Workload;
  readonly #faults: FaultRunner;
  readonly #plan: readonly PlannedFault[];
  readonly #recorder: HistoryRecorder;
  readonly #tasks: readonly PlannedTask[];
  readonly #faultsForMs: number;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    const seeds = new SeededRandom(options.seed);
    const nextSeed = (): number => Math.floor(seeds.next() * Number.MAX_SAFE_INTEGER);
    const stream = (): SeededRandom => new SeededRandom(nextSeed());
    const settings = drawSettings(stream(), options);
    this.#settings = settings;
    const { config } = settings;
    this.#faultsForMs = options.minutes * 60_000 * faultPart;
    this.#plan = drawFaults(stream(), {
      nodes: settings.nodes,
      untilMs: this.#faultsForMs,
      kinds: options.faults,
      leaseTtlMs: config.leaseTtlMs,
      mix: options.mix,
    });
    const scheduler = new Scheduler(stream());
    const now = (): number => Math.floor(startAt + scheduler.nowMs);
    this.#recorder = new HistoryRecorder({
      namespace: config.namespace,
      shardCount: config.shardCount,
      parts: ['calls', 'replies', 'effects', 'drivers', 'ownership', 'appends', 'faults', 'processes', 'deadLetters'],
      bounds: {
        // The clocks of two nodes differ by what they drift and jump.
        timerEarlyMs: skewMs(this.#plan, options.minutes),
        // A refused owner has to ask the store what it is refused for, and that may be slow, or away.
        zombieMs: restWithinMs,
        ownerlessMs: config.leaseTtlMs + skewMs(this.#plan, options.minutes) + openingMs,
        maxInterruptions: config.maxInterruptions,
        dedupWindowSize: config.dedupWindowSize,
        ...(options.usesWorld ? { effectStages } : {}),
      },
    });
    const record = (event: HistoryEvent): void => this.#recorder.record(event);
    const network = new Network({ scheduler, random: stream() });
    const { namespace } = config;
    const store = new StoreServer({ scheduler, random: stream(), namespace, replicas: settings.replicas, startAt });
    const world = new OutsideWorld({ scheduler, random: stream(), now, record });
    const shards = new ShardWatch({ now, record });
    const drift = stream();
    const clockRates = new Map<string, number>();
    const pipelines = options.pipelines.map((definition) =>
      instrumentPipeline(definition, {
        now,
        record,
        ownerOf: (fence) => shards.ownerOf(fence),
        keepsOutputs: options.usesWorld,
      }),
    );
    this.#parts = {
      scheduler,
      network,
      bus: new BusServer({ random: stream() }),
      store,
      world,
      config,
      detector: settings.detector,
      pipelines,
      ports: options.ports,
      metrics: new CountingMetrics(),
      log: new RunLog(() => scheduler.nowMs),
      shards,
      startAt,
      now,
      record,
      nextSeed,
      clockRateOf: (machine) => {
        const rate = clockRates.get(machine) ?? 1 + (drift.next() * 2 - 1) * clockDrift;
        clockRates.set(machine, rate);
        return rate;
      },
    };
    const restarts = stream();
    this.#nodes = Array.from(
      { length: settings.nodes },
      (_, index) => new SimulatedNode(this.#parts, `node-${index + 1}`, restarts),
    );
    this.#clients = [1, 2].map((number) => new ClientProcess(this.#parts, `client-${number}`));
    this.#tracker = new TaskTracker(store.journal);
    const work = stream();
    this.#tasks = planTasks(options, settings.tasks, work);
    this.#workload = new Workload({
      scheduler,
      now,
      random: work,
      clients: this.#clients,
      tracker: this.#tracker,
      world,
      nodes: this.#nodes,
      namespace,
      shardCount: config.shardCount,
      knowsEffects: options.usesWorld,
    });
    this.#faults = new FaultRunner({ scheduler, network, store, world, nodes: this.#nodes, startAt, record });
  }

  /** Runs it: faults and work, then peace until all rests, then the verdict. */
  async run(): Promise<SimulationReport> {
    const { scheduler } = this.#parts;
    this.#faults.plan(this.#plan.filter(({ id }) => !this.#options.maskedFaults.has(id)));
    for (const node of this.#nodes) node.start();
    this.#workload.start(this.#tasks, this.#faultsForMs);
    await scheduler.run(this.#faultsForMs);
    this.#heal();
    await scheduler.run(this.#faultsForMs + operatorsAfterMs);
    this.#workload.end();
    await this.#rest();
    const isListed = await this.#listDeadLetters();
    return this.#judge(isListed);
  }

  #heal(): void {
    const { network, store } = this.#parts;
    this.#faults.heal();
    network.quality = goodNetwork;
    store.condition.isDown = false;
    for (const node of this.#nodes) {
      node.setClockRight();
      node.start();
    }
    store.setClockRight();
  }

  /** Until all tasks rest, every caller is answered and every shard has its owner; or until that has had its time. */
  async #rest(): Promise<void> {
    const { scheduler } = this.#parts;
    let isLifted = false;
    const lift = async (): Promise<void> => {
      await this.#workload.liftOrders();
      isLifted = true;
      const at = this.#workload.firstOrderAt;
      if (at === null) return;
      this.#recorder.record({ type: 'fault', kind: 'drain', target: 'orders', at, until: this.#parts.now() });
    };
    void lift();
    const untilMs = scheduler.nowMs + restWithinMs;
    while (scheduler.nowMs < untilMs) {
      await scheduler.run(scheduler.nowMs + lookMs);
      if (isLifted && this.#workload.isQuiet && this.#isServed && this.#tracker.isAtRest) return;
    }
  }

  /** Asks the owners for all dead letters, and the projection for the reason of each. Gives whether the list was to be had. */
  async #listDeadLetters(): Promise<boolean> {
    const { scheduler, store } = this.#parts;
    const client = this.#clients[0]?.client;
    if (client === undefined || !this.#isServed) return false;
    let rows: readonly TaskView[] | null = null;
    let isAnswered = false;
    client.deadLetters
      .list({ limit: maximumPageSize })
      .then(({ tasks }) => (rows = tasks))
      .catch(() => {})
      .finally(() => (isAnswered = true));
    await scheduler.run(scheduler.nowMs + lookMs * 12, () => isAnswered);
    if (rows === null) return false;
    const projected = store.journal.archive.reduce<DeadLetters>(
      (list, message) => applyToDeadLetters(list, entryOf(message)),
      new Map(),
    );
    for (const row of rows as readonly TaskView[]) this.#recorder.record(deadLetterOf(row, projected));
    return projected.size === (rows as readonly TaskView[]).length;
  }

  get #isServed(): boolean {
    const served = new Set(
      this.#nodes.flatMap(({ life }) => life?.engine.status.owned.map(({ shard }) => shard) ?? []),
    );
    return served.size === this.#settings.config.shardCount;
  }

  #judge(isListed: boolean): SimulationReport {
    const { scheduler, network, store, metrics, log, shards } = this.#parts;
    shards.finish();
    for (const client of this.#clients) client.finish();
    const entries = store.journal.archive.map((message) => entryOf(message));
    const history = this.#recorder.finish({ entries, endedAt: this.#parts.now(), isHealed: true });
    const checked = checkHistory(history, { definitions: this.#parts.pipelines, needs });
    const violations = checked.violations.map((violation) => ({ id: violation.id, text: formatViolation(violation) }));
    const own = (id: string, text: string): void => void violations.push({ id: id as 'I22', text });
    if (!this.#isServed) own('I22', 'not every shard has an owner when all is healed and had its time');
    if (!isListed) own('I30', 'the dead letters cannot be listed when all is healed and had its time');
    if (!this.#workload.isQuiet) own('I5', 'a caller has no answer when all is healed and had its time');
    for (const { surprises, process } of this.#clients) {
      for (const surprise of surprises) own('I45', `${process.name} was surprised: ${surprise}`);
    }
    this.#tracker.update();
    const { counts } = network;
    const messageFaults = counts.lost + counts.duplicated + counts.delayed + counts.overtaken + counts.late;
    const storeFaults =
      store.counts.unheard + store.counts.full + store.counts.staleReads + store.counts.orphanedProposals;
    const count = (name: string): number => metrics.count(name);
    return {
      seed: this.#options.seed,
      traceHash: scheduler.trace.digest,
      events: scheduler.eventCount,
      simulatedMs: scheduler.nowMs,
      plan: this.#plan,
      faults: this.#faults.made + messageFaults + storeFaults,
      tasks: this.#tracker.tasks.size,
      violations,
      zombieWritesRefused: count(metricCatalog.fencedAppends.name),
      unknownResolved: count(metricCatalog.unknownResolved.name),
      counters: {
        ...Object.fromEntries([...this.#tracker.counts].map(([name, value]) => [`record ${name}`, value])),
        ...Object.fromEntries([...metrics.counts].map(([name, value]) => [`metric ${name}`, value])),
        ...Object.fromEntries([...this.#faults.byKind].map(([name, value]) => [`fault ${name}`, value])),
        'store busy': store.busyCount,
        'store stale reads': store.counts.staleReads,
        'store proposals without a leader': store.counts.orphanedProposals,
        'messages late': counts.late,
        'messages lost': counts.lost,
        'messages duplicated': counts.duplicated,
        'messages overtaken': counts.overtaken,
      },
      lines: log.lines,
      history,
    };
  }
}

function deadLetterOf({ taskId, stage, failure }: TaskView, projected: DeadLetters): DeadLetterEvent {
  const reason = projected.get(taskId)?.reason;
  return {
    type: 'deadLetter',
    task: taskId,
    stage: stage ?? '',
    ...(reason === undefined ? {} : { reason }),
    ...(failure === null ? {} : { class: failure.class }),
  };
}

function skewMs(plan: readonly PlannedFault[], minutes: number): number {
  const jumpsMs = plan.reduce((sum, fault) => sum + (fault.kind === 'clockJump' ? Math.abs(fault.byMs) : 0), 0);
  return jumpsMs + 2 * clockDrift * (minutes * 60_000 + restWithinMs) + 10;
}

function planTasks(options: ResolvedOptions, count: number, random: SeededRandom): readonly PlannedTask[] {
  return Array.from({ length: count }, (_, index): PlannedTask => {
    const taskId = `task-${index + 1}`;
    const pipeline = options.pipelines[Math.floor(random.next() * options.pipelines.length)];
    if (pipeline === undefined) throw new Error('a simulation needs a pipeline');
    return { taskId, pipeline: pipeline.name, input: inputOf(options, pipeline.name, index, random) };
  });
}

function inputOf(options: ResolvedOptions, pipeline: string, index: number, random: SeededRandom): JsonValue {
  if (options.inputOf !== undefined) return options.inputOf({ pipeline, index, random });
  const trouble = random.next() < 0.5 ? 'none' : troubles[Math.floor(random.next() * troubles.length)];
  // Some are too large for a record.
  const salt = random.id() + (random.next() < 0.1 ? 'x'.repeat(400) : '');
  return { salt, trouble: trouble ?? 'none' };
}
