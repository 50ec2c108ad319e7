import { compare } from './against.ts';
import { failover } from './modes/failover.ts';
import { idle } from './modes/idle.ts';
import { micro } from './modes/micro.ts';
import { openLoop } from './modes/open-loop.ts';
import { recovery } from './modes/recovery.ts';
import { scale } from './modes/scale.ts';
import { throughput } from './modes/throughput.ts';
import { watchedLoad } from './modes/watched-load.ts';
import { parseOptions, usage, UsageError, type BenchOptions, type Mode } from './options.ts';
import { commitOf, loadAverageNow, report, resultLine, type Measured } from './result-file.ts';

const measurements: Readonly<Record<Mode, (options: BenchOptions) => Promise<Measured>>> = {
  throughput,
  latency: throughput,
  floor: throughput,
  'open-loop': openLoop,
  failover,
  recovery,
  idle,
  scale,
  micro,
  console: watchedLoad,
  inspector: watchedLoad,
};

const [first, ...rest] = process.argv.slice(2);
const options = first === 'peers' ? null : readOptions();
if (first === 'peers') {
  // Loaded when needed: it has packages of its own.
  await (await import('./peers/main.ts')).comparePeers(rest);
} else if (options === null) {
  process.stdout.write(usage);
} else {
  const loadAverage = loadAverageNow();
  const line =
    options.against === null
      ? resultLine(options, await measurements[options.mode](options), loadAverage)
      : await compare(options, options.against, loadAverage);
  report(line, options.isJson);
}

function readOptions(): BenchOptions | null {
  try {
    const parsed = parseOptions(process.argv.slice(2));
    const against = parsed?.against ?? null;
    if (against !== null && commitOf(against) === 'unknown') throw new UsageError(`no such commit: ${against}`);
    return parsed;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${usage}`);
    return process.exit(2);
  }
}
