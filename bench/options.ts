import { parseArgs } from 'node:util';

/** What can be measured. */
export const modes = [
  'throughput',
  'latency',
  'open-loop',
  'failover',
  'recovery',
  'idle',
  'scale',
  'micro',
  'floor',
  'console',
  'inspector',
] as const;

/** One of the {@link modes}. */
export type Mode = (typeof modes)[number];

/** What is to be measured. Null: as the mode has it. */
export interface BenchOptions {
  readonly mode: Mode;
  readonly sync: 'default' | 'always';
  readonly replicas: 1 | 3;
  readonly nodes: readonly number[] | null;
  readonly shards: readonly number[] | null;
  readonly payloadBytes: readonly number[] | null;
  /** Pipelines a second that are offered. */
  readonly rates: readonly number[] | null;
  readonly tasks: number | null;
  readonly warmUp: number | null;
  readonly inFlight: number | null;
  readonly seconds: number | null;
  readonly stageMs: number | null;
  readonly runs: number;
  readonly clients: number;
  readonly hasFloor: boolean;
  readonly restarts: boolean;
  readonly isJson: boolean;
  readonly isProfiled: boolean;
  /** Another commit, whose runs alternate with this tree's. */
  readonly against: string | null;
  /** As they were given, but for `against`. */
  readonly args: readonly string[];
}

/** What the command says of itself. */
export const usage = `npm run bench -- [mode] [options]

  throughput  completed pipelines a second with 512 tasks in flight (default); with --floor also what the floor makes of the same bytes
  latency     one task in flight, from submit to result
  open-loop   arrivals at fixed rates, told from when each was meant to begin; half of what a closed loop reaches, and --rate N,N,…
  failover    kill -9 of one of several nodes under load: until its tasks run again, until all are done, what callers see of it
  recovery    kill -9 of a node with many waiting tasks, and its next start: until all of them are recovered
  idle        processor time and memory of a node whose tasks all wait
  scale       throughput over nodes (--nodes 1,2,4), shards (--shards 8,32,…) and payloads (--payload 100,…)
  micro       the pure functions of the hot path: nanoseconds a call
  floor       throughput, and a bare publisher that commits the same bytes: engine ÷ floor
  console     throughput without and with a console that clients look at, in turn; with --rate N at that rate, --restart restarts it midway
  peers       this engine beside others: npm run bench -- peers --help
  inspector   throughput without and with inspections of as many tasks, over all shards

  --sync default|always   how the server syncs      --replicas 1|3     servers, and copies of every stream
  --nodes N[,N…]          engine nodes              --shards N[,N…]    shards
  --tasks N               measured tasks            --warm-up N        tasks before them
  --in-flight N           at one time               --runs N           runs (3)
  --seconds N             of a rate, or of idling   --rate N[,N…]      pipelines offered a second
  --stage-ms N            work of a stage           --payload N[,N…]   bytes of input and of each result
  --clients N             that look at a console (50)
  --floor --restart       see above
  --against REF           the same runs of another commit, each between two of this tree, and the ratio
  --json                  one line of JSON
  --profile               V8 processor profiles of engine and client in bench/results
`;

/** Arguments that make no sense. */
export class UsageError extends Error {}

/** The options of a command line, or null where help is asked for. @throws UsageError */
export function parseOptions(args: readonly string[]): BenchOptions | null {
  const { values, positionals } = parsed(args);
  if (values.help) return null;
  const mode = modes.find((name) => name === (positionals[0] ?? 'throughput'));
  if (mode === undefined || positionals.length > 1) throw new UsageError(`no such mode: ${positionals.join(' ')}`);
  const replicas = wholes('replicas', values.replicas)?.[0];
  if (replicas !== 1 && replicas !== 3) throw new UsageError('--replicas must be 1 or 3');
  const { sync } = values;
  if (sync !== 'default' && sync !== 'always') throw new UsageError('--sync must be default or always');
  if (values.restart && values.rate === undefined) throw new UsageError('--restart needs a --rate');
  const one = (name: string, text: string | undefined): number | null => wholes(name, text, 1)?.[0] ?? null;
  return {
    mode,
    sync,
    replicas,
    nodes: wholes('nodes', values.nodes),
    shards: wholes('shards', values.shards),
    payloadBytes: wholes('payload', values.payload),
    rates: wholes('rate', values.rate),
    tasks: one('tasks', values.tasks),
    warmUp: one('warm-up', values['warm-up']),
    inFlight: one('in-flight', values['in-flight']),
    seconds: one('seconds', values.seconds),
    stageMs: one('stage-ms', values['stage-ms']),
    runs: one('runs', values.runs) ?? 3,
    clients: one('clients', values.clients) ?? 50,
    hasFloor: values.floor || mode === 'floor',
    restarts: values.restart,
    isJson: values.json,
    isProfiled: values.profile,
    against: values.against ?? null,
    args: withoutAgainst(args),
  };
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        sync: { type: 'string', default: 'default' },
        replicas: { type: 'string', default: '1' },
        nodes: text,
        shards: text,
        payload: text,
        rate: text,
        tasks: text,
        'warm-up': text,
        'in-flight': text,
        seconds: text,
        'stage-ms': text,
        runs: text,
        clients: text,
        against: text,
        floor: flag,
        restart: flag,
        json: flag,
        profile: flag,
        help: flag,
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function wholes(name: string, text: string | undefined, most = Number.MAX_SAFE_INTEGER): readonly number[] | null {
  if (text === undefined) return null;
  const parts = text.split(',');
  if (parts.length > most) throw new UsageError(`--${name} takes one number`);
  return parts.map((part) => {
    if (!/^[1-9]\d{0,9}$/.test(part)) throw new UsageError(`--${name} must be a whole number over 0, not '${part}'`);
    return Number(part);
  });
}

function withoutAgainst(args: readonly string[]): readonly string[] {
  return args.filter(
    (arg, index) => arg !== '--against' && !arg.startsWith('--against=') && args[index - 1] !== '--against',
  );
}
