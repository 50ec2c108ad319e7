import type { BenchOptions } from '../options.ts';
import type { Measured } from '../result-file.ts';
import type { Figures } from '../statistics.ts';
import { hotFunctions, type HotFunction } from '../hot-functions.ts';

/** How long one function is called in one round. */
const sampleMs = 100;
/** Calls between two looks at the clock. */
const callsPerLook = 256;
/** Rounds that let the compiler finish. */
const warmUpRounds = 3;

/** The pure functions of the hot path, each in turn in every round, so that what disturbs one round disturbs all of them. */
export async function micro(options: BenchOptions): Promise<Measured> {
  const runs: Figures[] = [];
  const functions = Object.entries(hotFunctions());
  for (let round = -warmUpRounds; round < options.runs; round += 1) {
    const figures: Record<string, number> = {};
    for (const [name, hotFunction] of functions) {
      figures[`${name}.nanos`] = nanosOfCall(hotFunction);
    }
    if (round >= 0) runs.push(figures);
  }
  return { settings: { sampleMs }, natsServer: null, runs };
}

/** What the calls returned last: the compiler may not leave out what somebody could look at. */
let lastResult: unknown;

function nanosOfCall(call: HotFunction): number {
  const beganMs = performance.now();
  let calls = 0;
  let elapsedMs = 0;
  while (elapsedMs < sampleMs) {
    for (let count = 0; count < callsPerLook; count += 1) lastResult = call();
    calls += callsPerLook;
    elapsedMs = performance.now() - beganMs;
  }
  if (lastResult === undefined) throw new Error('a hot function returned nothing');
  return (elapsedMs * 1_000_000) / calls;
}
