import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';

import { FatalError } from '../core/driver-errors.ts';
import { assert, asError } from '../core/errors.ts';
import type { AnyDriver } from '../ports/driver.ts';
import { ForwardingLogger } from './forwarding-logger.ts';
import { HostedRun } from './hosted-run.ts';
import type { RunMessage, RunResult } from './run-messages.ts';
import { toWireError } from './wire-error.ts';
import { heartbeatFlag, type FromWorker, type ToWorker, type WorkerSetup } from './worker-protocol.ts';

// The program of a worker thread: loads the driver's module and runs one attempt after the other, as the pool asks. A module
// that is loaded by `new Worker` alone; it does nothing on the main thread.

const port = parentPort;
if (port !== null) {
  const setup = workerData as WorkerSetup;
  const shared = new Int32Array(setup.shared);
  let driver: Promise<AnyDriver> | null = null;
  let current: CurrentRun | null = null;

  const send = (message: FromWorker): void => port.postMessage(JSON.stringify(message));

  const start = async ({ run, operation, request }: ToWorker & { type: 'run' }): Promise<void> => {
    const log = ForwardingLogger.create({
      maximumLines: setup.maximumLogLines,
      send: (message) => send({ type: 'message', run, message }),
    });
    const finish = (result: RunResult): void => {
      if (current?.run === run) current = null;
      send({ type: 'result', run, result, droppedLogLines: log.dropped });
    };
    const own: CurrentRun = { run, hosted: null, early: [] };
    current = own;
    try {
      driver ??= loadDriver(setup);
      const loaded = await driver;
      send({ type: 'started', run });
      const hosted = new HostedRun({
        driver: loaded,
        operation,
        request,
        log,
        ports: {},
        maximumValueBytes: setup.maximumValueBytes,
        onHeartbeat: () => {
          takeMessages();
          if (Atomics.exchange(shared, heartbeatFlag, 1) === 0) {
            send({ type: 'message', run, message: { type: 'heartbeat' } });
          }
        },
        beforeLook: takeMessages,
        send: (message) => send({ type: 'message', run, message }),
      });
      own.hosted = hosted;
      for (const message of own.early) hosted.receive(message);
      finish(await hosted.result);
    } catch (thrown) {
      finish({ kind: 'failed', error: toWireError(thrown) });
    }
  };

  const take = (text: string): void => {
    const message = JSON.parse(text) as ToWorker;
    if (message.type === 'run') void start(message);
    else if (current?.run === message.run) {
      if (current.hosted === null) current.early.push(message.message);
      else current.hosted.receive(message.message);
    }
  };

  // A driver that blocks never gives the event loop a chance to bring a cancel: it gets it when it looks at its signal.
  const takeMessages = (): void => {
    for (let received = receiveMessageOnPort(port); received !== undefined; received = receiveMessageOnPort(port)) {
      take(received.message as string);
    }
  };

  port.on('message', take);
}

/** The run that a thread has. */
interface CurrentRun {
  readonly run: number;
  /** Null while the module is being loaded. */
  hosted: HostedRun | null;
  /** What came for it before. */
  readonly early: RunMessage[];
}

/** The module's driver: an object with `execute`, or a function of the settings that gives one. */
async function loadDriver(setup: WorkerSetup): Promise<AnyDriver> {
  let exported: unknown;
  try {
    const module = (await import(setup.module)) as Readonly<Record<string, unknown>>;
    exported = module[setup.exportName];
    if (typeof exported === 'function') exported = await (exported as (settings: unknown) => unknown)(setup.settings);
  } catch (thrown) {
    const error = asError(thrown);
    throw new FatalError(`the driver's module cannot be loaded: ${error.message}`, {
      code: 'WORKER_MODULE_INVALID',
      cause: error,
    });
  }
  const driver = exported as Partial<AnyDriver> | null | undefined;
  if (typeof driver?.execute !== 'function') {
    throw new FatalError(
      `the export ${setup.exportName} of the driver's module is no driver, nor a function that gives one`,
      {
        code: 'WORKER_MODULE_INVALID',
      },
    );
  }
  assert(driver.lookup === undefined || typeof driver.lookup === 'function', () => 'lookup must be a function');
  return driver as AnyDriver;
}
