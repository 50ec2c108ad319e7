import { readFileSync } from 'node:fs';

/** What a process has used so far. */
export interface ProcessUsage {
  readonly cpuMicros: number;
  readonly peakMemoryBytes: number;
}

/** Clock ticks a second, as Linux counts processor time; 100 on every platform that Node runs on. */
const ticksPerSecond = 100;

/** Processor time and peak memory of a process, from Linux's `/proc`. */
export function usageOf(pid: number): ProcessUsage {
  // The second field is the name in parentheses and may hold blanks: count from behind it.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const peakKilobytes = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0);
  return { cpuMicros: (ticks * 1_000_000) / ticksPerSecond, peakMemoryBytes: peakKilobytes * 1024 };
}

/** The same of several processes together; of none, nothing. */
export function usageOfAll(pids: readonly number[]): ProcessUsage {
  const all = pids.map(usageOf);
  return {
    cpuMicros: all.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0),
    peakMemoryBytes: all.reduce((sum, { peakMemoryBytes }) => sum + peakMemoryBytes, 0),
  };
}
