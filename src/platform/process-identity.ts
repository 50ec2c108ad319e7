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
  const found = look(pid);
  return found === undefined || found.isZombie ? undefined : { pid, startMark: found.startMark };
}

/**
 * The child that was started in this turn. It may have ended already, but Node has not yet taken note of that, so the
 * system still knows it.
 */
export function identifyNewChild(pid: number): ProcessIdentity | undefined {
  const found = look(pid);
  return found === undefined ? undefined : { pid, startMark: found.startMark };
}

/** Whether this very process still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startMark === identity.startMark;
}

/** The words a process was started with, or undefined when they cannot be known. */
export function readCommandLine(pid: number): string | undefined {
  if (process.platform !== 'linux') return askPs(pid, 'command=');
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return undefined;
  }
}

interface ProcessLook {
  readonly startMark: string;
  readonly isZombie: boolean;
}

function look(pid: number): ProcessLook | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return process.platform === 'linux' ? readLinuxStart(pid) : readStartByPs(pid);
}

function readLinuxStart(pid: number): ProcessLook | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    // The command's name, in parentheses, may hold spaces and parentheses: count the fields after the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const startTicks = fields[19]; // Field 22 of proc(5), in clock ticks since boot: says nothing without the boot's id.
    if (startTicks === undefined) return undefined;
    return { startMark: `${bootId}/${startTicks}`, isZombie: fields[0] === 'Z' || fields[0] === 'X' };
  } catch {
    return undefined;
  }
}

function readStartByPs(pid: number): ProcessLook | undefined {
  const [, state = '', startMark] = /^(\S+)\s+(.+)$/.exec(askPs(pid, 'state=,lstart=') ?? '') ?? [];
  return startMark === undefined ? undefined : { startMark, isZombie: state.startsWith('Z') };
}

function askPs(pid: number, columns: string): string | undefined {
  const { status, stdout } = spawnSync('ps', ['-o', columns, '-p', String(pid)], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}
