import type { EngineConfig } from '../../src/core/config.ts';
import { startNode } from '../../src/node.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { PinoLogger } from '../../src/platform/pino-logger.ts';
import type { LogFields, Logger } from '../../src/ports/logger.ts';
import { chaosPipeline } from './chaos-pipeline.ts';
import { machineMs } from './monotonic.ts';
import { runDelayMs } from './run-delay.ts';
import { serveOrders, tellParent } from './orders.ts';

// One engine node as a process of its own. It logs JSON lines to its standard output and to its parent.

/** What a node's process is started with. */
export interface NodeSettings {
  readonly servers: readonly string[];
  readonly ledgerUrl: string;
  readonly nodeId: string;
  readonly config: Partial<EngineConfig>;
}

/** What a node's process is asked. */
export interface NodeOrder {
  readonly type: 'metrics' | 'status';
}

/** A line of a node's log. */
export interface NodeLogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly shard?: number;
  readonly code?: string;
  /** By the machine's monotonic clock. */
  readonly atMs: number;
  /** How long the process had waited for a processor by then; of errors only. */
  readonly runDelayMs?: number;
}

/** What a node's process tells unasked. `metrics` are summed over their labels. */
export type NodeEvent =
  | { readonly type: 'ready' }
  | { readonly type: 'line'; readonly line: NodeLogLine }
  | { readonly type: 'stopped'; readonly metrics: Readonly<Record<string, number>> }
  | {
      readonly type: 'failed';
      readonly code: string;
      readonly message: string;
      readonly metrics: Readonly<Record<string, number>>;
    };

/** Writes each line with the machine's monotonic time, and tells it to the parent. */
class TellingLogger implements Logger {
  readonly #inner: Logger;

  constructor(inner: Logger) {
    this.#inner = inner;
  }

  debug(fields: LogFields, message: string): void {
    this.#inner.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#line('info', fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#line('warn', fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#line('error', fields, message);
  }

  child(fields: LogFields): Logger {
    return new TellingLogger(this.#inner.child(fields));
  }

  #line(level: NodeLogLine['level'], fields: LogFields, message: string): void {
    const atMs = machineMs();
    const { shard, err } = fields as { readonly shard?: number; readonly err?: { readonly code?: string } };
    const line = {
      level,
      message,
      atMs,
      ...(level === 'error' ? { runDelayMs: runDelayMs('self') } : {}),
      ...(shard === undefined ? {} : { shard }),
      ...(err?.code === undefined ? {} : { code: err.code }),
    };
    tellParent({ type: 'line', line } satisfies NodeEvent);
    this.#inner[level]({ ...fields, monotonicMs: atMs }, message);
  }
}

const { servers, ledgerUrl, nodeId, config } = JSON.parse(process.argv[2] ?? '{}') as NodeSettings;
const metrics = new MemoryMetrics();

try {
  const node = await startNode({
    pipelines: [chaosPipeline],
    ports: { ledgerUrl },
    nodeId,
    config,
    nats: { servers },
    metrics,
    logger: new TellingLogger(new PinoLogger({ format: 'json' })),
    onFailed: (error) => end(1, { type: 'failed', code: error.code, message: error.message, metrics: readMetrics() }),
  });
  process.once('SIGTERM', () => {
    void node.stop().then(() => end(0, { type: 'stopped', metrics: readMetrics() }));
  });
  serveOrders(({ type }: NodeOrder) => (type === 'metrics' ? readMetrics() : node.status));
  tellParent({ type: 'ready' } satisfies NodeEvent);
} catch (error) {
  const { code = 'INTERNAL', message } = error as Error & { readonly code?: string };
  end(1, { type: 'failed', code, message, metrics: readMetrics() });
}

function readMetrics(): Readonly<Record<string, number>> {
  return Object.fromEntries(metrics.names.map((name) => [name, metrics.value(name)]));
}

/** Ends by itself when nothing is open any more: a node that leaves something open does not end, and is seen not to. */
function end(exitCode: number, event: NodeEvent): void {
  process.exitCode = exitCode;
  tellParent(event);
  process.removeAllListeners('disconnect');
  process.disconnect?.();
}
