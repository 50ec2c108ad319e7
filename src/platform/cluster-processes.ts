import cluster from 'node:cluster';

import type { NodeProcessMessage, NodeProcessOrder } from '../core/process-messages.ts';
import type { NodeProcess, NodeProcesses } from '../ports/node-processes.ts';

/** No input; both outputs to this process's stderr; the channel. */
const stdio = ['ignore', 2, 2, 'ipc'] as const;

/**
 * Node processes as workers of `node:cluster`, each running one entry file. What a process writes goes to stderr of this one: its
 * stdout is for data.
 *
 * @param entryFile - of the process; it runs with this process's own Node options, a loader included
 */
export function clusterProcesses(entryFile: string): NodeProcesses {
  cluster.setupPrimary({ exec: entryFile, args: [], stdio: [...stdio] });
  return {
    start(listener): NodeProcess {
      const worker = cluster.fork();
      let hasEnded = false;
      const onEnd = (code: number | null, signal: string | null): void => {
        if (hasEnded) return;
        hasEnded = true;
        listener.onExit({ code, signal });
      };
      worker.on('message', (said: unknown) => {
        if (!hasEnded) listener.onMessage(said);
      });
      worker.on('exit', onEnd);
      // A process that could not be started has no exit. Other errors are of the channel, which ends with the process.
      worker.on('error', () => {
        if (worker.process.pid === undefined) onEnd(null, null);
      });
      return {
        pid: worker.process.pid ?? null,
        send: (order) => {
          if (!hasEnded && worker.isConnected()) worker.send(order, undefined, () => undefined);
        },
        kill: () => {
          worker.process.kill('SIGKILL');
        },
      };
    },
  };
}

/** The channel of a node process to its supervisor. */
export interface SupervisorChannel {
  /** Sends in order; resolves when the message has been handed over. Never rejects: without a supervisor nobody listens. */
  send(message: NodeProcessMessage): Promise<void>;
}

/**
 * Opens this process's channel to its supervisor.
 *
 * @param onLost - the supervisor has died; from then on this process ends by itself
 * @throws Error when this process was not started by a supervisor
 */
export function supervisorChannel(handlers: {
  readonly onOrder: (order: NodeProcessOrder) => void;
  readonly onLost: () => void;
}): SupervisorChannel {
  const { worker } = cluster;
  if (worker === undefined)
    throw new Error('this file is the entry of a node process: use `cabinet start --nodes <count>`');
  worker.on('message', handlers.onOrder);
  worker.on('disconnect', () => {
    // Without this node:cluster ends the process in this very turn, and with it whatever its drivers are at.
    worker.exitedAfterDisconnect = true;
    handlers.onLost();
  });
  return {
    send: (message) =>
      new Promise((resolve) => {
        if (worker.isConnected()) worker.send(message, undefined, () => resolve());
        else resolve();
      }),
  };
}
