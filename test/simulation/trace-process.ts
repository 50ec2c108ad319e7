// Runs one seed and tells its trace to whoever started the process.
import { simulate } from '../../src/simulation/simulate.ts';

const [seed, minutes, tasks] = process.argv.slice(2).map(Number);
const { traceHash, events } = await simulate({ seed: seed ?? 1, minutes: minutes ?? 1, tasks: tasks ?? 20 });
process.send?.({ traceHash, events });
process.disconnect();
