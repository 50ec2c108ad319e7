import { rm } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EngineError, PinoLogger, startNode, type RunningNode, type TaskView } from '../../src/index.ts';
import { startBoard, type BoardProcess } from './board/start-board.ts';
import { createCabinetPorts, createCardPipeline } from './card-pipeline.ts';
import { formatDemoTable, summarizeDemo } from './demo-report.ts';
import { prepareSamples, type Sample } from './sample-listing.ts';

const help = `npm run demo [-- --json] [--fresh] [--data-dir DIR] [--no-faults] [--seed N]

Runs every sample page through the card pipeline: an embedded nats-server, the engine, and a board that answers some requests with
503, 429, late, or not at all. Kill it at any moment and run it again: it goes on where it was.

  --json        the last line is one JSON object
  --fresh       forgets what an earlier run left in the data folder
  --data-dir    .cabinet/demo when left out
  --no-faults   a board that never fails
  --seed        of the board's faults; 5 when left out
`;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    'data-dir': { type: 'string', default: '.cabinet/demo' },
    'no-faults': { type: 'boolean', default: false },
    seed: { type: 'string', default: '5' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(help);
  process.exit(0);
}

const startedMs = performance.now();
const dataDir = resolve(values['data-dir']);
const folders = {
  nats: join(dataDir, 'nats'),
  board: join(dataDir, 'board'),
  pages: join(dataDir, 'pages'),
  work: join(dataDir, 'work'),
  feed: join(dataDir, 'feed'),
};
const faults = values['no-faults'] ? {} : { unavailable: 0.2, rateLimited: 0.1, slow: 0.1, lostAnswer: 0.15 };

let board: BoardProcess | undefined;
let node: RunningNode | undefined;
let stopping: Promise<void> | undefined;

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stopping !== undefined) process.exit(130); // The second signal: now.
    say('\nstopping; run the same command again to go on');
    void stop().then(() => process.exit(130));
  });
}

try {
  process.exitCode = await run();
} catch (error) {
  const report = error instanceof EngineError ? error.toReport() : undefined;
  say(
    report === undefined
      ? String(error)
      : `error ${report.code}: ${report.message}${report.hint === undefined ? '' : ` (${report.hint})`}`,
  );
  process.exitCode = 1;
} finally {
  await stop();
}

async function run(): Promise<number> {
  if (values.fresh) await rm(dataDir, { recursive: true, force: true });
  const samples = await prepareSamples(folders.pages);
  board = await startBoard({ dataDir: folders.board, faults, seed: Number(values.seed), slowMs: 300 });
  const pipeline = createCardPipeline({ initialDelayMs: 200, maxDelayMs: 2_000 });
  node = await startNode({
    pipelines: [pipeline],
    ports: createCabinetPorts({
      pagesDir: folders.pages,
      workDir: folders.work,
      feedDir: folders.feed,
      boardUrl: board.url,
    }),
    nats: { dataDir: folders.nats },
    nodeId: 'demo',
    config: { namespace: 'demo', shardCount: 4 },
    logger: new PinoLogger({ level: 'error', destination: 'stderr' }),
  });
  say(
    `${samples.length} pages; NATS ${node.natsUrl}; board ${board.url}${values['no-faults'] ? '' : ' with faults on'}`,
  );
  // The same key gives the same task, so a second run finds what the first one submitted.
  const submitted = await node.client.submitMany(
    pipeline,
    samples.map((sample) => ({ input: { source: sample.source }, idempotencyKey: sample.file })),
  );
  const taskIds = submitted.map((outcome, index) => {
    if (outcome.kind === 'error') throw new Error(`${samples[index]?.file}: ${outcome.error.message}`);
    return outcome.taskId;
  });
  const tasks = await followToEnd(node, samples, taskIds);
  const stats = await board.stats();
  const summary = summarizeDemo(tasks, stats, Math.round(performance.now() - startedMs));
  say(`\n${formatDemoTable(samples, tasks)}`);
  say(
    `\nresults: ${relative('.', folders.feed) || '.'} (feed.ndjson, feed.csv, photos), board log: ${relative('.', folders.board)}`,
  );
  say(
    `board: ${stats.requests} requests, ${stats.applied} applied, ${stats.duplicateKeys} repeats answered from the record, ` +
      `${stats.duplicateEffects} duplicate effects`,
  );
  if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return summary.duplicateEffects === 0 ? 0 : 1;
}

/** Waits until every card has ended, and tells of each that does. */
async function followToEnd(
  { client }: RunningNode,
  samples: readonly Sample[],
  taskIds: readonly TaskView['taskId'][],
): Promise<readonly TaskView[]> {
  const ended = new Map<string, TaskView>();
  while (ended.size < taskIds.length) {
    const open = taskIds.filter((taskId) => !ended.has(taskId));
    const views = await Promise.all(open.map((taskId) => client.get(taskId)));
    for (const view of views) {
      if (view.endedAt === null) continue;
      ended.set(view.taskId, view);
      const sample = samples[taskIds.indexOf(view.taskId)];
      say(
        `${String(ended.size).padStart(3)}/${taskIds.length}  ${view.status.padEnd(12)} ${sample?.file ?? view.taskId}`,
      );
    }
    if (ended.size < taskIds.length) await sleep(100);
  }
  return taskIds.map((taskId) => ended.get(taskId) as TaskView);
}

function stop(): Promise<void> {
  stopping ??= (async () => {
    await node?.stop();
    await board?.stop();
  })();
  return stopping;
}

/** Progress and tables; on the error stream when the output is for a program. */
function say(text: string): void {
  (values.json ? process.stderr : process.stdout).write(`${text}\n`);
}
