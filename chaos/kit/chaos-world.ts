import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { silentLogger } from '../../src/client/silent-logger.ts';
import { decodeCommit } from '../../src/core/commit-codec.ts';
import type { EngineConfig } from '../../src/core/config.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { UndoStack } from '../../src/platform/undo-stack.ts';
import { startNats, type NatsFixture } from '../../test/support/nats-server.ts';
import { CallLog } from './call-log.ts';
import { ClusterView } from './cluster-view.ts';
import { EventLog } from './event-log.ts';
import { LedgerChild } from './ledger-child.ts';
import { LoadChild } from './load-child.ts';
import type { LoadSettings } from './load-process.ts';
import { NodeFleet } from './node-fleet.ts';
import type { NodeSettings } from './node-process.ts';
import { judge, type Facts, type Verdict } from './verdict.ts';
import { until } from './wait.ts';

/** Namespace of every run: each has servers of its own. */
const namespace = 'chaos';
const servedTimeoutMs = 30_000;
/** How long accepted tasks may take to end after everything is healed. */
const healTimeoutMs = 90_000;

/** How a scenario is run. */
export interface ScenarioOptions {
  readonly name: string;
  readonly rounds: number;
  readonly seed: number;
  readonly isQuiet: boolean;
  /** Whether logs and facts stay also when all is well. */
  readonly isKept: boolean;
}

/** What a scenario's world is made of. */
export interface WorldOptions {
  readonly servers: 1 | 3;
  readonly shardCount: number;
  readonly config?: Partial<EngineConfig>;
}

/** Real servers, the outside world, node processes and a load, of one run; `stop` ends all of it. */
export class ChaosWorld {
  readonly log: EventLog;
  readonly random: SeededRandom;
  readonly nats: NatsFixture;
  readonly ledger: LedgerChild;
  readonly fleet: NodeFleet;
  readonly shardCount: number;
  readonly namespace = namespace;
  /** Commands of the scenario's own; those of the load are with the load. */
  readonly calls = new CallLog('scenario');
  /** With what each node runs. */
  readonly settings: Omit<NodeSettings, 'nodeId'>;
  /** Where logs and evidence of this run are. */
  readonly folder: string;
  /** Set by {@link startLoad} and {@link connect}. */
  #load: LoadChild | undefined;
  #view: ClusterView | undefined;
  readonly #options: ScenarioOptions;
  readonly #undo: UndoStack;

  private constructor(parts: {
    readonly options: ScenarioOptions;
    readonly folder: string;
    readonly log: EventLog;
    readonly undo: UndoStack;
    readonly nats: NatsFixture;
    readonly ledger: LedgerChild;
    readonly fleet: NodeFleet;
    readonly shardCount: number;
    readonly settings: Omit<NodeSettings, 'nodeId'>;
  }) {
    this.#options = parts.options;
    this.folder = parts.folder;
    this.settings = parts.settings;
    this.#undo = parts.undo;
    this.log = parts.log;
    this.nats = parts.nats;
    this.ledger = parts.ledger;
    this.fleet = parts.fleet;
    this.shardCount = parts.shardCount;
    this.random = new SeededRandom(parts.options.seed);
  }

  /** Starts servers and ledger, runs `scenario`, and stops everything, also when it is interrupted. */
  static async run<Result>(
    options: ScenarioOptions,
    { servers, shardCount, config }: WorldOptions,
    signal: AbortSignal,
    scenario: (world: ChaosWorld) => Promise<Result>,
  ): Promise<Result> {
    const folder = resolve('chaos', 'results', `${options.name}-r${servers}-${options.seed}-${Date.now()}`);
    mkdirSync(folder, { recursive: true });
    const log = new EventLog(join(folder, 'events.log'), options);
    const undo = new UndoStack(silentLogger);
    const stop = (): void => void undo.run();
    signal.addEventListener('abort', stop);
    try {
      signal.throwIfAborted();
      const nats = await startNats({ servers });
      undo.push('servers', () => nats.stop());
      const ledger = await LedgerChild.start(join(folder, 'ledger.log'));
      undo.push('ledger', () => ledger.stop());
      const settings = {
        servers: nats.urls,
        ledgerUrl: ledger.url,
        config: { namespace, shardCount, replicas: servers, maxInterruptions: 50, ...config },
      };
      const fleet = new NodeFleet(settings, folder);
      undo.push('nodes', () => fleet.stop());
      signal.throwIfAborted();
      const world = new ChaosWorld({ options, folder, log, undo, nats, ledger, fleet, shardCount, settings });
      return await scenario(world).catch(async (error: unknown) => {
        if (!signal.aborted) await world.#keepEvidence(error);
        throw error;
      });
    } finally {
      await undo.run();
      signal.removeEventListener('abort', stop);
    }
  }

  /** What the cluster shows from outside. A node must have created the stores. */
  get view(): ClusterView {
    if (this.#view === undefined) throw new Error('the world is not connected yet');
    return this.#view;
  }

  get load(): LoadChild {
    if (this.#load === undefined) throw new Error('the load is not started yet');
    return this.#load;
  }

  /** Ends something that a scenario has started itself, before what is older. */
  defer(name: string, stop: () => Promise<void>): void {
    this.#undo.push(name, stop);
  }

  /** Starts the nodes one after the other, then the view and the load. A scenario whose nodes run already names none. */
  async start(
    nodeIds: readonly string[],
    load: Pick<LoadSettings, 'tasksPerSecond' | 'maximumInFlight' | 'deadlineMs' | 'longestMs'>,
  ): Promise<void> {
    for (const nodeId of nodeIds) {
      const node = await this.fleet.start(nodeId);
      this.log.tell('start', nodeId, `pid ${node.pid}`);
    }
    const view = await ClusterView.connect(this.nats.urls, namespace, this.shardCount);
    this.#view = view;
    this.#undo.push('view', () => view.close());
    await this.untilServed();
    const { urls } = this.nats;
    const { seed } = this.#options;
    const started = await LoadChild.start(
      { ...load, servers: urls, namespace, ledgerUrl: this.ledger.url, seed },
      join(this.folder, 'load.log'),
    );
    this.#load = started;
    this.#undo.push('load', () => started.stop());
    this.log.tell('load', 'clients', `${load.tasksPerSecond} tasks a second`);
  }

  /** Resolves when somebody answers for every shard. */
  async untilServed(timeoutMs = servedTimeoutMs): Promise<void> {
    await until('every shard is served', async () => (await this.view.unserved()).length === 0, timeoutMs);
  }

  /** A number in [least, most), by the seed. */
  between(least: number, most: number): number {
    return least + this.random.next() * (most - least);
  }

  /** One of these, by the seed. */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.random.next() * items.length)];
    if (item === undefined) throw new Error('there is nothing to pick from');
    return item;
  }

  /** Ends the load, reads everything back and judges it. Everything must be healed. */
  async judge(
    rules: { readonly mayFail?: boolean } = {},
  ): Promise<{ readonly verdict: Verdict; readonly facts: Facts }> {
    const { log } = this;
    log.tell('end', 'clients', 'no more submits; what was accepted must end');
    const load = await this.load.end(healTimeoutMs);
    log.tell('ended', 'clients', `${load.accepted.length} accepted, ${load.ended} ended, ${load.open.length} open`);
    const refusedAppends = await this.fleet.total('appends_fenced_total');
    const [entries, ledger] = await Promise.all([this.view.readJournal(), this.ledger.facts()]);
    const calls = [...(await this.load.calls()), ...this.calls.calls];
    const { shardCount } = this;
    const facts = { namespace, shardCount, load, calls, entries, ledger, faults: log.faults, refusedAppends };
    const verdict = judge(facts, rules);
    log.tell(
      'judged',
      'all',
      `${entries.length} journal messages, ${verdict.invariants} invariants, ${verdict.violations.length} violations`,
    );
    return { verdict, facts };
  }

  /** Keeps the evidence of a red run, and removes what a green one has written. */
  keep(isGreen: boolean, facts: Facts): void {
    if (isGreen && !this.#options.isKept) {
      rmSync(this.folder, { recursive: true, force: true });
      return;
    }
    this.#write(facts);
  }

  /** A scenario that broke off leaves what can still be read. */
  async #keepEvidence(error: unknown): Promise<void> {
    this.log.tell('broke off', 'all', String(error));
    try {
      this.#write({ entries: await this.view.readJournal(), ledger: await this.ledger.facts() });
    } catch (thrown) {
      this.log.tell('kept', 'all', `only logs, in ${this.folder}: ${String(thrown)}`);
    }
  }

  #write(facts: Pick<Facts, 'entries' | 'ledger'>): void {
    const lines = facts.entries.map(({ body, ...entry }) => JSON.stringify({ ...entry, commit: decodeCommit(body) }));
    writeFileSync(join(this.folder, 'journal.jsonl'), lines.join('\n'));
    writeFileSync(
      join(this.folder, 'ledger.jsonl'),
      facts.ledger.executions.map((one) => JSON.stringify(one)).join('\n'),
    );
    this.log.tell('kept', 'all', `logs, journal and ledger are in ${this.folder}`);
  }
}
