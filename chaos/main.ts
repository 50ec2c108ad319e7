import { parseArgs } from 'node:util';
import type { Scenario } from './kit/scenario.ts';
import { churn } from './scenarios/churn.ts';
import { kill } from './scenarios/kill.ts';
import { poison } from './scenarios/poison.ts';
import { nats } from './scenarios/nats.ts';
import { rolling } from './scenarios/rolling.ts';
import { zombie } from './scenarios/zombie.ts';

const exitCodes = { ok: 0, notOk: 1, wrongArguments: 2, interrupted: 130 } as const;
const scenarios: Readonly<Record<string, Scenario>> = { zombie, churn, nats, kill, rolling, poison };
const largestSeed = 2 ** 32 - 1;

const usage = [
  `npm run chaos -- ${Object.keys(scenarios).join('|')} [--rounds N] [--seed S] [--json-only] [--keep]`,
  '',
  '  --keep   keeps logs, journal and ledger in chaos/results also when all is well',
  '',
  ...Object.entries(scenarios).map(
    ([name, { summary, rounds }]) => `  ${name.padEnd(8)} ${summary} (${rounds} rounds)`,
  ),
  '',
].join('\n');

await main();

async function main(): Promise<void> {
  const given = readArguments();
  const { name, scenario, rounds, seed, isQuiet, isKept } = given;
  const interruption = new AbortController();
  const interrupt = (): void => {
    if (!isQuiet) process.stdout.write('interrupted: everything that was started is stopped\n');
    process.exitCode = exitCodes.interrupted;
    interruption.abort(new Error('interrupted'));
  };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const startedMs = performance.now();
  try {
    const result = await scenario.run({ name, rounds, seed, isQuiet, isKept }, interruption.signal);
    const durationMs = Math.round(performance.now() - startedMs);
    process.stdout.write(`${JSON.stringify({ name, seed, rounds, durationMs, ...result })}\n`);
    process.exitCode = result.ok ? exitCodes.ok : exitCodes.notOk;
  } catch (error) {
    if (interruption.signal.aborted) return;
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.stdout.write(`${JSON.stringify({ name, seed, rounds, ok: false, error: String(error) })}\n`);
    process.exitCode = exitCodes.notOk;
  }
}

function readArguments(): {
  readonly name: string;
  readonly scenario: Scenario;
  readonly rounds: number;
  readonly seed: number;
  readonly isQuiet: boolean;
  readonly isKept: boolean;
} {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: 'string' },
        seed: { type: 'string' },
        'json-only': { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(usage);
      process.exit(exitCodes.ok);
    }
    const [name = '', ...rest] = positionals;
    const scenario = Object.hasOwn(scenarios, name) ? scenarios[name] : undefined;
    if (scenario === undefined) {
      return refuse(`there is no scenario '${name}', only ${Object.keys(scenarios).join(', ')}`);
    }
    if (rest.length > 0) return refuse(`one scenario at a time: '${rest[0]}' is too much`);
    return {
      name,
      scenario,
      rounds: wholeNumber('--rounds', values.rounds ?? String(scenario.rounds), { least: 1, most: 100_000 }),
      seed: wholeNumber('--seed', values.seed ?? String(Date.now() % largestSeed), { least: 0, most: largestSeed }),
      isQuiet: values['json-only'],
      isKept: values.keep,
    };
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function wholeNumber(option: string, text: string, { least, most }: { least: number; most: number }): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  return refuse(`${option} must be a whole number from ${least} to ${most}, not '${text}'`);
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n\n${usage}`);
  process.exit(exitCodes.wrongArguments);
}
