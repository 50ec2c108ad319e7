import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process told apart from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the words of this system; equal for one process only. */
  readonly startMark: string;
}

/**
 * The process that has this number now, or undefined when there is none, or only what is left of one (a zombie).
 * Synchronous, so that a process can be started and recorded in one turn.
 */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  if (!Number.isInteger(pid) || pid <= 0 || !exists(pid)) return undefined;
  const startMark = process.platform === 'linux' ? readLinuxStart(pid) : readStartByPs(pid);
  return startMark === undefined ? undefined : { pid, startMark };
}

/** Whether this very process still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startMark === identity.startMark;
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // It exists, but belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function readLinuxStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    // The command's name, in parentheses, may hold spaces and parentheses: count the fields after the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const state = fields[0];
    const startTicks = fields[19]; // Field 22 of proc(5), in clock ticks since boot: says nothing without the boot's id.
    return state === 'Z' || state === 'X' || startTicks === undefined ? undefined : `${bootId}/${startTicks}`;
  } catch {
    return undefined;
  }
}

function readStartByPs(pid: number): string | undefined {
  const { stdout } = spawnSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8' });
  const match = /^(\S+)\s+(.+)$/.exec((stdout ?? '').trim());
  return match === null || match[1]?.startsWith('Z') === true ? undefined : match[2];
}
