import { spawn, type ChildProcess } from 'node:child_process';

/** Ends by pid what still runs when this process is gone, however that happened; also what is stopped by SIGSTOP. */
export class PidWatchdog {
  readonly #shell: ChildProcess;

  constructor() {
    const script = [
      'all=" "',
      'while read -r sign pid; do',
      '  case "$sign" in',
      '    +) all="$all$pid ";;',
      // One that is not in the list would double it.
      '    -) case "$all" in *" $pid "*) before="${all%% $pid *}"; all="$before ${all#* $pid }";; esac;;',
      '  esac',
      'done',
      'for pid in $all; do kill -9 "$pid" 2>/dev/null; done',
    ].join('\n');
    // A session of its own: an interrupt from the terminal must not end it first.
    this.#shell = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    this.#shell.stdin?.on('error', () => undefined);
    this.#shell.unref();
  }

  watch(pid: number): void {
    this.#shell.stdin?.write(`+ ${pid}\n`);
  }

  forget(pid: number): void {
    this.#shell.stdin?.write(`- ${pid}\n`);
  }
}
