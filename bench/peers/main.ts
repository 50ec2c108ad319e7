import { appendFileSync, mkdirSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { preparePeers } from './install.ts';
import { measureSystem, type Extent, type PeerRun } from './measure.ts';
import { formatTable, mediansOf } from './report.ts';
import { systems, type System } from './systems.ts';

const usage = `npm run bench -- peers [--systems ID,ID,…] [--runs N] [--seconds N] [--warm-up-seconds N] [--in-flight N]
    [--alone-tasks N] [--kill-tasks N] [--kill-limit-seconds N] [--json]

  The engine and its peers in turn, each on its own server: throughput with many tasks in flight, one task alone, and a worker
  that is killed among --kill-tasks tasks. The peers are installed on the first run.

  systems: ${systems.map(({ id }) => id).join(', ')}
`;

/** Measures the engine beside its peers. @param args - the command's arguments behind `peers` */
export async function comparePeers(args: readonly string[]): Promise<void> {
  const options = optionsOf(args);
  if (options === null) return;
  const { chosen, runs, extent, isJson } = options;
  if (chosen.some(({ isPeer }) => isPeer)) preparePeers();
  // Servers and their folders go when this process exits: see makeServerFolder.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  const rows = chosen.map((system) => ({ system, runs: [] as PeerRun[], failures: [] as string[] }));
  for (let run = 0; run < runs; run += 1) {
    // One run of each in turn: what else the machine does then meets all of them.
    for (const row of rows) {
      process.stderr.write(`run ${run + 1} of ${runs}: ${row.system.id}\n`);
      try {
        row.runs.push(await measureSystem(row.system, extent));
      } catch (error) {
        // The others are measured all the same; the table tells of it.
        row.failures.push(error instanceof Error ? error.message : String(error));
        process.exitCode = 1;
      }
    }
  }
  const environment = {
    node: process.version,
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    loadAverage: loadavg().map((load) => Math.round(load * 10) / 10),
    storeFolder: tmpdir(),
    command: `npm run bench -- peers ${args.join(' ')}`.trim(),
  };
  const at = new Date().toISOString();
  const lines = rows.map(({ system: { id, title, durability, tuning }, runs: measured, failures }) =>
    JSON.stringify({
      at,
      kind: 'peers',
      system: id,
      title,
      durability,
      tuning,
      extent,
      environment,
      medians: mediansOf(measured),
      runs: measured,
      failures,
    }),
  );
  const folder = new URL('../../../results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  appendFileSync(new URL('peers.jsonl', folder), `${lines.join('\n')}\n`);
  if (isJson) {
    process.stdout.write(`${lines.join('\n')}\n`);
    return;
  }
  process.stdout.write(`${JSON.stringify(extent)}\n${JSON.stringify(environment)}\n\n${formatTable(rows)}\n`);
  for (const { system, failures } of rows) {
    process.stdout.write(`${system.id}: ${system.tuning}\n`);
    for (const failure of failures) process.stdout.write(`  a run failed: ${failure}\n`);
  }
}

function optionsOf(args: readonly string[]): {
  readonly chosen: readonly System[];
  readonly runs: number;
  readonly extent: Extent;
  readonly isJson: boolean;
} | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      systems: { type: 'string' },
      runs: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '10' },
      'warm-up-seconds': { type: 'string', default: '5' },
      'in-flight': { type: 'string', default: '512' },
      'alone-tasks': { type: 'string', default: '500' },
      'kill-tasks': { type: 'string', default: '2000' },
      'kill-limit-seconds': { type: 'string', default: '120' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const ids = values.systems?.split(',') ?? systems.map(({ id }) => id);
  const unknown = ids.find((id) => !systems.some((system) => system.id === id));
  const numbers = {
    runs: Number(values.runs),
    inFlight: Number(values['in-flight']),
    warmUpSeconds: Number(values['warm-up-seconds']),
    seconds: Number(values.seconds),
    aloneTasks: Number(values['alone-tasks']),
    killTasks: Number(values['kill-tasks']),
    killLimitSeconds: Number(values['kill-limit-seconds']),
  };
  const wrong = Object.entries(numbers).find(([, value]) => !(value > 0));
  if (values.help || unknown !== undefined || wrong !== undefined) {
    if (unknown !== undefined) process.stderr.write(`there is no system '${unknown}'\n`);
    if (wrong !== undefined) process.stderr.write(`${wrong[0]} must be a number above 0\n`);
    process.stderr.write(usage);
    process.exitCode = values.help ? 0 : 2;
    return null;
  }
  const { runs, ...extent } = numbers;
  return { chosen: systems.filter(({ id }) => ids.includes(id)), runs, extent, isJson: values.json };
}
