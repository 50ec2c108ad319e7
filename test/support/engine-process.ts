import { startNode } from '../../src/node.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { PinoLogger } from '../../src/platform/pino-logger.ts';
import type { EngineProcessMessage, EngineProcessOrder, EngineProcessSettings } from './engine-child.ts';
import { ledgerPipeline } from './ledger-pipeline.ts';

// One engine node as a process of its own, started by `startEngine`. It logs JSON lines, and ends by itself when it has
// stopped: whatever it left open would keep it alive.

const { servers, monitorUrls, ledgerUrl, nodeId, config } = JSON.parse(
  process.argv[2] ?? '{}',
) as EngineProcessSettings;
const metrics = new MemoryMetrics();

try {
  const node = await startNode({
    pipelines: [ledgerPipeline],
    ports: { ledgerUrl },
    nodeId,
    config,
    nats: { servers, monitorUrls },
    metrics,
    logger: new PinoLogger({ format: 'json' }),
    onFailed: (error) => end(1, { type: 'failed', code: error.code, message: error.message, metrics: readMetrics() }),
  });
  const stop = (): void => {
    void node.stop().then(() => end(0, { type: 'stopped', metrics: readMetrics() }));
  };
  process.once('SIGTERM', stop);
  process.on('message', (order: EngineProcessOrder) => {
    if (order.type === 'metrics') tell({ type: 'metrics', metrics: readMetrics() });
    else tell({ type: 'status', status: node.status });
  });
  tell({ type: 'ready' });
} catch (error) {
  const { code = 'INTERNAL', message } = error as Error & { readonly code?: string };
  end(1, { type: 'failed', code, message, metrics: readMetrics() });
}

/** The test has ended, and so has its engine. */
process.once('disconnect', () => process.exit(1));

function readMetrics(): Readonly<Record<string, number>> {
  return Object.fromEntries(metrics.names.map((name) => [name, metrics.value(name)]));
}

function tell(message: EngineProcessMessage, onSent?: () => void): void {
  process.send?.(message, undefined, undefined, onSent);
}

function end(exitCode: number, message: EngineProcessMessage): void {
  process.exitCode = exitCode;
  tell(message, () => {
    process.removeAllListeners('disconnect');
    process.disconnect?.();
  });
}
