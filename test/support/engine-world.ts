import { expect } from 'vitest';
import { positionOf } from '../../src/actors/task-state.ts';
import { checkHistory, formatViolation } from '../../src/checking/check-history.ts';
import { HistoryRecorder } from '../../src/checking/history-recorder.ts';
import { checkJournal, type JournalReport } from '../../src/checking/journal-report.ts';
import { readWholeJournal } from '../../src/checking/whole-journal.ts';
import { connectClient, type Client, type ConnectClientOptions } from '../../src/client.ts';
import { configDefaults, type EngineConfig } from '../../src/core/config.ts';
import { EngineError } from '../../src/core/errors.ts';
import type { TaskId } from '../../src/core/ids.ts';
import { journalStream } from '../../src/core/subjects.ts';
import { finishedStatuses } from '../../src/core/task-view.ts';
import type { Journal, JournalEntry } from '../../src/ports/journal.ts';
import type { NatsLink } from '../../src/transport/nats-connection.ts';
import { EngineChild, type EngineProcessSettings } from './engine-child.ts';
import { Ledger } from './ledger.ts';
import { ledgerEvents } from './ledger-history.ts';
import { ledgerPipeline } from './ledger-pipeline.ts';
import { startNats, type NatsFixture, type NatsFixtureOptions } from './nats-server.ts';
import { eventually, NatsWorld } from './nats-world.ts';

/** Namespace of every engine of a test: each test file has servers of its own. */
const namespace = 'it';
const shardCount = 4;
/** Most tasks that one list may hold. */
const listLimit = 1_000;

/** Real servers, engine processes and the world that they change, of one test file. Call `stop` in `afterAll`. */
export class EngineWorld {
  readonly nats: NatsFixture;
  readonly ledger: Ledger;
  readonly settings: EngineProcessSettings;
  readonly #stores: NatsWorld;
  readonly #engines: EngineChild[] = [];
  readonly #clients: Client[] = [];
  #link: Promise<NatsLink> | undefined;
  #journal: Promise<Journal> | undefined;
  readonly #accepted = new Set<TaskId>();

  private constructor(nats: NatsFixture, ledger: Ledger, replicas: 1 | 3, config: Partial<EngineConfig>) {
    this.nats = nats;
    this.ledger = ledger;
    this.#stores = new NatsWorld(nats, replicas);
    this.settings = {
      servers: nats.urls,
      ledgerUrl: ledger.url,
      nodeId: 'n-1',
      config: { namespace, shardCount, replicas, maxRunningStages: 24, maxInterruptions: 50, ...config },
    };
  }

  /** Starts the servers and the ledger; engines and clients come later. */
  static async start(
    options: NatsFixtureOptions & { readonly config?: Partial<EngineConfig> } = {},
  ): Promise<EngineWorld> {
    const { config = {}, ...fixture } = options;
    const nats = await startNats(fixture);
    return new EngineWorld(nats, await Ledger.start(), fixture.servers ?? 1, config);
  }

  /** How long a node's lease lives when it is not renewed. */
  get leaseTtlMs(): number {
    return this.settings.config.leaseTtlMs ?? configDefaults.leaseTtlMs;
  }

  /** Starts an engine process; resolves when it is ready. */
  async startEngine(settings: Partial<EngineProcessSettings> = {}): Promise<EngineChild> {
    const engine = this.spawnEngine(settings);
    await engine.ready();
    return engine;
  }

  /** Starts an engine process, without waiting for it. */
  spawnEngine(settings: Partial<EngineProcessSettings> = {}): EngineChild {
    const engine = EngineChild.spawn({ ...this.settings, ...settings });
    this.#engines.push(engine);
    return engine;
  }

  /** A client of the engine; it waits for one to be ready. */
  async connect(options: Partial<ConnectClientOptions> = {}): Promise<Client> {
    const client = await connectClient({
      servers: this.nats.urls,
      namespace,
      connectTimeoutMs: 60_000,
      deadlineMs: 60_000,
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  /** Submits orders `<prefix>-1` to `<prefix>-<count>`, every fourth of them flaky; resolves when all are accepted. */
  async submitOrders(client: Client, prefix: string, count: number): Promise<readonly TaskId[]> {
    const items = Array.from({ length: count }, (_, index) => ({
      taskId: `${prefix}-${index + 1}`,
      input: { flaky: index % 4 === 0 },
    }));
    const outcomes = await client.submitMany(ledgerPipeline, items);
    return outcomes.map((outcome) => {
      if (outcome.kind === 'error') throw outcome.error;
      this.#accepted.add(outcome.taskId);
      return outcome.taskId;
    });
  }

  /** The stage's idempotency key. */
  keyOf(taskId: string, stage: string): string {
    return `${namespace}:${taskId}:${stage}`;
  }

  /** Resolves when every task has ended; `resolveUnknown` first settles those that are parked. */
  async untilAllEnd(client: Client, timeoutMs = 60_000): Promise<void> {
    let open = 'not asked yet';
    await eventually(
      'every task has ended',
      async () => {
        const { tasks } = await client.list({ limit: listLimit });
        const live = tasks.filter(({ status }) => status !== 'deadLettered');
        open = live
          .slice(0, 5)
          .map((task) => `${task.taskId} ${task.state}`)
          .join(', ');
        for (const task of live) {
          if (task.status === 'unknown' && task.stage === 'charge') await this.#resolveCharge(client, task.taskId);
        }
        return live.length === 0;
      },
      timeoutMs,
    ).catch((error: unknown) => {
      throw new Error(`tasks are still open: ${open}`, { cause: error });
    });
  }

  /** What the operator does: looks at the world, and says what became of the stage. */
  async #resolveCharge(client: Client, taskId: TaskId): Promise<void> {
    const key = this.keyOf(taskId, 'charge');
    if (!this.ledger.isQuiet(key)) return;
    const isDone = this.ledger.appliedCount(key) > 0;
    await client.resolve(taskId, isDone ? { kind: 'completed', output: Ledger.outputOf(key) } : { kind: 'notDone' }, {
      by: 'operator',
    });
  }

  /** Which server leads the journal's stream, of a cluster. */
  async journalLeader(): Promise<number> {
    const { leader = '' } = await this.#journalCluster();
    return Number(leader.slice(1));
  }

  /**
   * Whether every server, asked by itself, has the same end of the journal and the same leader for it. One that led when it was
   * frozen goes on as the leader for a moment when it wakes up, and answers with the end that it knew.
   */
  async isJournalInSync(): Promise<boolean> {
    const views = await Promise.all(this.nats.monitorUrls.map((url) => readStreamView(url, journalStream(namespace))));
    const [first] = views;
    return first !== undefined && first !== null && new Set(views.map((view) => JSON.stringify(view))).size === 1;
  }

  async #journalCluster(): Promise<{
    readonly leader?: string;
  }> {
    const { connection } = await this.#linkOnce();
    const answer = await connection.request(`$JS.API.STREAM.INFO.${journalStream(namespace)}`, '', { timeout: 5_000 });
    return answer.json<{ readonly cluster?: object }>().cluster ?? {};
  }

  /** The test's own link, to whichever server answers. */
  #linkOnce(): Promise<NatsLink> {
    this.#link ??= this.#stores.link({ servers: this.nats.urls });
    return this.#link;
  }

  /** The journal, by a link of the test's own; the engine must have created it. */
  async journal(): Promise<Journal> {
    this.#journal ??= this.#stores.journal(namespace, { link: await this.#linkOnce() });
    return this.#journal;
  }

  /** The whole journal as the leader has it, read back and replayed; a cluster may have no leader for a moment. */
  async readJournal(): Promise<JournalReport> {
    return checkJournal(await this.#readEntries(), [ledgerPipeline]);
  }

  async #readEntries(): Promise<readonly JournalEntry[]> {
    const journal = await this.journal();
    let entries: readonly JournalEntry[] = [];
    await eventually('the journal can be read', async () => {
      try {
        entries = await readWholeJournal(journal, this.settings.config.shardCount ?? shardCount);
        return true;
      } catch (error) {
        if (error instanceof EngineError && error.code === 'UNAVAILABLE') return false;
        throw error;
      }
    });
    return entries;
  }

  /** Every invariant that journal and ledger break, in one line. */
  #violations(entries: readonly JournalEntry[]): readonly string[] {
    const recorder = new HistoryRecorder({
      namespace,
      shardCount: this.settings.config.shardCount ?? shardCount,
      parts: ['effects'],
      bounds: { effectStages: ledgerPipeline.stages.map(({ name }) => `${ledgerPipeline.name}/${name}`) },
    });
    for (const event of ledgerEvents(this.ledger)) recorder.record(event);
    const history = recorder.finish({ entries, endedAt: Date.now(), isHealed: true });
    const { violations } = checkHistory(history, { definitions: [ledgerPipeline], needs: ['I5', 'I10', 'I13', 'I16'] });
    return violations.map(formatViolation);
  }

  /** Expects that every accepted order has completed, once, and that journal and ledger keep every rule. */
  async expectAllDone(): Promise<JournalReport> {
    const entries = await this.#readEntries();
    expect(this.#violations(entries)).toEqual([]);
    const report = checkJournal(entries, [ledgerPipeline]);
    const states = [...this.#accepted].map(
      (taskId) => report.tasks.get(taskId)?.machine.value ?? `${taskId} is missing`,
    );
    expect(states.filter((state) => state !== 'completed')).toEqual([]);
    const unfinished = [...report.tasks.values()].filter(
      ({ machine }) => !finishedStatuses.includes(positionOf(machine.value).status),
    );
    expect(unfinished.map(({ taskId }) => taskId)).toEqual([]);
    return report;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.#engines.map((engine) => engine.kill()));
    await this.ledger.stop();
    await this.#stores.stop();
  }
}

interface JetStreamReport {
  readonly account_details?: readonly {
    readonly stream_detail?: readonly {
      readonly name: string;
      readonly cluster?: { readonly leader?: string };
      readonly state: { readonly last_seq: number };
    }[];
  }[];
}

/** What one server itself knows of a stream; null when it does not know it, or its leader, or does not answer. */
async function readStreamView(
  monitorUrl: string,
  stream: string,
): Promise<{ readonly leader: string; readonly lastSequence: number } | null> {
  const answer = await fetch(`${monitorUrl}/jsz?accounts=true&streams=true`, {
    signal: AbortSignal.timeout(2_000),
  }).catch(() => null);
  if (answer === null || !answer.ok) return null;
  const { account_details: accounts = [] } = (await answer.json()) as JetStreamReport;
  const found = accounts.flatMap((account) => account.stream_detail ?? []).find(({ name }) => name === stream);
  const leader = found?.cluster?.leader ?? '';
  return found === undefined || leader === '' ? null : { leader, lastSequence: found.state.last_seq };
}
