import { silentLogger } from './client/silent-logger.ts';
import { createCommandDriver, type CommandDriverOptions as CommandOptions } from './drivers/command-driver.ts';
import { createHttpDriver, type HttpDriverOptions as HttpOptions } from './drivers/http-driver.ts';
import { createRemoteDriver, type RemoteDriverOptions as RemoteOptions } from './drivers/remote-driver.ts';
import {
  startRemoteService,
  type RemoteService,
  type RemoteServiceOptions as ServiceOptions,
} from './drivers/remote-service.ts';
import { createSimulatedDriver, type SimulatedDriverOptions } from './drivers/simulated-driver.ts';
import {
  createWorkerThreadDriver,
  type WorkerThreadDriver as AnyWorkerThreadDriver,
  type WorkerThreadDriverOptions as WorkerThreadOptions,
} from './drivers/worker-thread-driver.ts';
import { processEnvironment } from './platform/environment.ts';
import { SystemClock } from './platform/system-clock.ts';
import { SystemRandom } from './platform/system-random.ts';
import type { Bus } from './ports/bus.ts';
import type { Clock } from './ports/clock.ts';
import type { AnyDriver, Driver } from './ports/driver.ts';
import type { Logger } from './ports/logger.ts';
import type { Random } from './ports/random.ts';
import { NatsBus } from './transport/nats-bus.ts';
import { connectNats, type NatsLinkOptions } from './transport/nats-connection.ts';

export { FatalError, RateLimitedError, RetryableError, UncertainError } from './core/driver-errors.ts';
export type { UrlSource } from './drivers/http-driver.ts';
export type { RemoteService } from './drivers/remote-service.ts';
export {
  simulatedOutcome,
  type SimulatedDriverOptions,
  type SimulatedEffects,
  type SimulatedFaults,
  type SimulatedOutcome,
} from './drivers/simulated-driver.ts';
export type { WireError, WireErrorClass } from './drivers/wire-error.ts';
export type { WorkerPoolCounts } from './drivers/worker-pool.ts';

/**
 * A ready driver. It takes any stage's input, and its output is whatever the stage's `output` schema lets through: to the
 * compiler it fits every schema (`never`), unless the caller says what it gives.
 */
export type ReadyDriver<Output = never> = Driver<unknown, unknown, Output>;

/** Settings of {@link httpDriver}. */
export type HttpDriverOptions = WithDefault<HttpOptions, 'clock'>;

/** Settings of {@link commandDriver}. */
export interface CommandDriverOptions extends Omit<CommandOptions, 'clock' | 'env'> {
  /** Variables of the child over those that it inherits. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Variables of this process that the child gets; {@link defaultInheritedVariables} when left out. The rest, with its secrets, stays here. */
  readonly inheritEnv?: readonly string[] | undefined;
  readonly clock?: Clock | undefined;
}

/** Settings of {@link workerThreadDriver}. */
export type WorkerThreadDriverOptions = WithDefault<WorkerThreadOptions, 'clock'>;

/** Settings of {@link remoteDriver}. */
export type RemoteDriverOptions = WithDefault<RemoteOptions, 'clock'>;

/** Settings of {@link serveRemoteDriver}. */
export interface ServeRemoteDriverOptions extends Omit<ServiceOptions, 'driver' | 'clock' | 'random' | 'logger'> {
  readonly driver: Driver;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Nothing is logged when left out. */
  readonly logger?: Logger | undefined;
}

type WithDefault<Options, Name extends keyof Options> = Omit<Options, Name> & {
  readonly [N in Name]?: Options[N] | undefined;
};

/** What a child needs to find programs, its user's files, a place for temporary ones, and the language and zone of its texts. */
export const defaultInheritedVariables: readonly string[] = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL', 'TZ'];

/** A driver that POSTs the stage to a URL; see {@link createHttpDriver}. */
export function httpDriver<Output = never>(options: HttpDriverOptions): ReadyDriver<Output> {
  return ready(createHttpDriver({ ...options, clock: options.clock ?? new SystemClock() }));
}

/** A driver that runs a program; see {@link createCommandDriver}. */
export function commandDriver<Output = never>(options: CommandDriverOptions): ReadyDriver<Output> {
  const { inheritEnv, env, clock, ...others } = options;
  const environment = processEnvironment();
  const inherited = (inheritEnv ?? defaultInheritedVariables).flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return ready(
    createCommandDriver({
      ...others,
      env: { ...Object.fromEntries(inherited), ...env },
      clock: clock ?? new SystemClock(),
    }),
  );
}

/** A driver over a pool of worker threads. */
export type WorkerThreadDriver<Output = never> = ReadyDriver<Output> & Pick<AnyWorkerThreadDriver, 'counts' | 'close'>;

/** A driver that runs a module's driver in worker threads; see {@link createWorkerThreadDriver}. */
export function workerThreadDriver<Output = never>(options: WorkerThreadDriverOptions): WorkerThreadDriver<Output> {
  const driver = createWorkerThreadDriver({ ...options, clock: options.clock ?? new SystemClock() });
  return driver as unknown as WorkerThreadDriver<Output>;
}

/** A driver whose work a service on the bus does; see {@link createRemoteDriver}. */
export function remoteDriver<Output = never>(options: RemoteDriverOptions): ReadyDriver<Output> {
  return ready(createRemoteDriver({ ...options, clock: options.clock ?? new SystemClock() }));
}

/** Serves a driver on the bus, for stages of engines elsewhere; see {@link startRemoteService}. */
export function serveRemoteDriver(options: ServeRemoteDriverOptions): Promise<RemoteService> {
  return startRemoteService({
    ...options,
    driver: options.driver as unknown as AnyDriver,
    clock: options.clock ?? new SystemClock(),
    random: options.random ?? new SystemRandom(),
    logger: options.logger ?? silentLogger,
  });
}

/** Settings of {@link connectBus}: where the NATS server is, and who connects. */
export interface ConnectBusOptions extends Omit<NatsLinkOptions, 'name' | 'clock' | 'logger' | 'closeTimeoutMs'> {
  /** Shown in the server's connection list; `cabinet-drivers` when left out. */
  readonly name?: string | undefined;
  /** Nothing is logged when left out. */
  readonly logger?: Logger | undefined;
}

/** A bus with its own connection to NATS, for {@link remoteDriver} and {@link serveRemoteDriver}. */
export interface ConnectedBus extends Bus {
  /** Stop what is served first. */
  close(): Promise<void>;
}

/**
 * A bus over NATS: tried until the connect timeout, reconnecting for ever afterwards.
 *
 * @throws EngineError `NATS_UNREACHABLE`, `BUS_FORBIDDEN`, `CONFIG_INVALID`
 */
export async function connectBus(options: ConnectBusOptions): Promise<ConnectedBus> {
  const clock = new SystemClock();
  const logger = options.logger ?? silentLogger;
  const link = await connectNats({ ...options, name: options.name ?? 'cabinet-drivers', clock, logger });
  const bus = new NatsBus({ link, clock, logger });
  return {
    request: (subject, body, limits) => bus.request(subject, body, limits),
    serve: (subject, handler, sharing) => bus.serve(subject, handler, sharing),
    close: () => {
      bus.close();
      return link.close();
    },
  };
}

/** A driver without an outside world; see {@link createSimulatedDriver}. */
export function simulatedDriver<Output = never>(options: SimulatedDriverOptions): ReadyDriver<Output> {
  return ready(createSimulatedDriver(options));
}

/** The stage's schema says what the output is: what a driver elsewhere gives is JSON of any kind until then. */
function ready<Output>(driver: AnyDriver): ReadyDriver<Output> {
  return driver as unknown as ReadyDriver<Output>;
}
