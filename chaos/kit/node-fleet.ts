import { join } from 'node:path';
import { Child } from './child.ts';
import type { NodeEvent, NodeLogLine, NodeOrder, NodeSettings } from './node-process.ts';
import { until } from './wait.ts';

const startTimeoutMs = 60_000;
const metricsTimeoutMs = 2_000;
/** Lines of one node that are kept in memory; the file has all. */
const maximumLines = 20_000;

/** An engine node's process that a scenario can hurt, whoever has started it. */
export interface ChaosNode {
  readonly nodeId: string;
  readonly pid: number;
  readonly hasExited: boolean;
  /** The last lines of its log. */
  readonly log: readonly NodeLogLine[];
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing is answered. */
  freeze(): void;
  /** SIGCONT. */
  resume(): void;
  /** SIGTERM; resolves with the exit code when it has ended by itself. @throws Error when it does not in time */
  terminate(timeoutMs?: number): Promise<number | null>;
}

/** The nodes of a cluster: processes of the scenario's own, or workers of a supervisor. */
export interface Fleet {
  /** Those that run, in order of their start. */
  readonly running: readonly ChaosNode[];
  /** The node of that name that runs. */
  node(nodeId: string): ChaosNode | undefined;
  /** A counter's sum over all processes, ended ones included as far as they could be asked. */
  total(metric: string): Promise<number>;
  stop(): Promise<void>;
}

/** One node as a child process. */
class NodeChild implements ChaosNode {
  readonly nodeId: string;
  readonly log: NodeLogLine[] = [];
  metricsAtLast: Readonly<Record<string, number>> = {};
  readonly #child: Child;
  #isReady = false;
  #failure: string | null = null;

  constructor(settings: NodeSettings, outputFile: string) {
    this.nodeId = settings.nodeId;
    this.#child = Child.start({
      entry: 'node-process',
      settings,
      outputFile,
      onEvent: (event) => this.#hear(event as NodeEvent),
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get hasExited(): boolean {
    return this.#child.hasExited;
  }

  async ready(): Promise<void> {
    await until(
      `node ${this.nodeId} is ready`,
      () => {
        if (this.hasExited || this.#failure !== null) {
          throw new Error(`node ${this.nodeId} ended while it started: ${this.#failure ?? 'it said nothing'}`);
        }
        return this.#isReady;
      },
      startTimeoutMs,
    );
  }

  async kill(): Promise<void> {
    await this.readMetrics();
    await this.#child.kill();
  }

  freeze(): void {
    this.#child.signal('SIGSTOP');
  }

  resume(): void {
    this.#child.signal('SIGCONT');
  }

  async terminate(timeoutMs = 60_000): Promise<number | null> {
    this.#child.signal('SIGTERM');
    await until(`node ${this.nodeId} ends after SIGTERM`, () => this.hasExited, timeoutMs);
    await this.#child.exited;
    return this.#child.exitCode;
  }

  /** Its counters now, or as they were last known: a process that is killed takes them along. */
  async readMetrics(): Promise<Readonly<Record<string, number>>> {
    if (this.hasExited || !this.#isReady) return this.metricsAtLast;
    try {
      this.metricsAtLast = await this.#child.ask({ type: 'metrics' } satisfies NodeOrder, metricsTimeoutMs);
    } catch {
      // Frozen, or about to end: what was known must do.
    }
    return this.metricsAtLast;
  }

  #hear(event: NodeEvent): void {
    switch (event.type) {
      case 'ready':
        this.#isReady = true;
        return;
      case 'line':
        this.log.push(event.line);
        if (this.log.length > maximumLines) this.log.splice(0, maximumLines / 2);
        return;
      case 'failed':
        this.#failure = `${event.code} ${event.message}`;
        this.metricsAtLast = event.metrics;
        return;
      case 'stopped':
        this.metricsAtLast = event.metrics;
        return;
      default:
        event satisfies never;
    }
  }
}

/** Nodes as processes of the scenario's own, each started on its own. */
export class NodeFleet implements Fleet {
  readonly #settings: Omit<NodeSettings, 'nodeId'>;
  readonly #folder: string;
  readonly #all: NodeChild[] = [];

  constructor(settings: Omit<NodeSettings, 'nodeId'>, folder: string) {
    this.#settings = settings;
    this.#folder = folder;
  }

  get running(): readonly ChaosNode[] {
    return this.#all.filter((node) => !node.hasExited);
  }

  node(nodeId: string): ChaosNode | undefined {
    return this.running.find((node) => node.nodeId === nodeId);
  }

  /** Starts a node; resolves when it is ready. */
  async start(nodeId: string): Promise<ChaosNode> {
    const node = new NodeChild({ ...this.#settings, nodeId }, join(this.#folder, `${nodeId}.log`));
    this.#all.push(node);
    await node.ready();
    return node;
  }

  async total(metric: string): Promise<number> {
    const all = await Promise.all(this.#all.map((node) => node.readMetrics()));
    return all.reduce((sum, metrics) => sum + (metrics[metric] ?? 0), 0);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.filter((node) => !node.hasExited).map((node) => node.kill()));
  }
}
