import { readdirSync, readFileSync } from 'node:fs';
import { usageOf } from '../process-usage.ts';

/** Clock ticks a second, as Linux counts processor time. */
const ticksPerSecond = 100;

/**
 * Processor microseconds of a server with all of its processes: PostgreSQL has one a connection, Redis one while it rewrites its
 * log. Those that ended meanwhile are in the account of the process that waited for them.
 */
export function treeCpuMicros(rootPid: number): number {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statFieldsOf(Number(name));
    if (fields !== null) parents.set(Number(name), Number(fields[1]));
  }
  const isInTree = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 0; at = parents.get(at)) {
      if (at === rootPid) return true;
    }
    return false;
  };
  let micros = 0;
  for (const pid of parents.keys()) {
    if (!isInTree(pid)) continue;
    try {
      micros += usageOf(pid).cpuMicros + reapedMicrosOf(pid);
    } catch {
      // It ended between the two looks: its parent has its time now, or will have it at the next look.
    }
  }
  return micros;
}

function reapedMicrosOf(pid: number): number {
  const fields = statFieldsOf(pid);
  return ((Number(fields?.[13] ?? 0) + Number(fields?.[14] ?? 0)) * 1_000_000) / ticksPerSecond;
}

/** The fields of `/proc/<pid>/stat` behind the name, state first; null when there is no such process anymore. */
function statFieldsOf(pid: number): readonly string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}
