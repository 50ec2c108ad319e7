/** Where the servers of a test come from. */
export const natsProviders = ['binary', 'testcontainers', 'url'] as const;
export type NatsProvider = (typeof natsProviders)[number];

/** Options of {@link startNats}. */
export interface NatsFixtureOptions {
  /** `CABINET_TEST_NATS` when left out, and `binary` when that is not set. */
  readonly provider?: NatsProvider;
  /** 1, or a cluster of 3. */
  readonly servers?: 1 | 3;
  /** `always`: every write is synced before its acknowledgement, as production for power-loss durability does. */
  readonly sync?: 'default' | 'always';
  /** On when left out. */
  readonly jetStream?: boolean;
  /** Lines of nats-server configuration for every server, at top level. */
  readonly extraConfig?: string;
  /** Where the servers' folder is made, for processes; the system's folder of temporary files when left out. */
  readonly parentFolder?: string;
}

/**
 * A running nats-server, or a cluster of three, of one test file. Call `stop` in `afterAll`.
 *
 * A fault that the provider cannot make rejects with an error that says so.
 */
export interface NatsFixture {
  readonly provider: NatsProvider;
  /** Client address of the first server. */
  readonly url: string;
  readonly urls: readonly string[];
  readonly monitorUrls: readonly string[];
  /** Process id of a server that runs, if it is a child of this process; undefined after {@link kill}. */
  pid(index?: number): number | undefined;
  /** SIGKILL; resolves when the server is gone. Its data stays. */
  kill(index?: number): Promise<void>;
  /** SIGSTOP, or the freezer of a container: connections stay open and nothing is answered. */
  freeze(index?: number): Promise<void>;
  /** Ends {@link freeze}. */
  resume(index?: number): Promise<void>;
  /** Tells the server to send its clients away, one by one, and to end then. */
  enterLameDuckMode(index?: number): Promise<void>;
  /** Cuts the server off from the other servers; clients still reach it. Containers only. */
  partition(index?: number): Promise<void>;
  /** Ends {@link partition}. */
  heal(index?: number): Promise<void>;
  /** Starts the server again on its ports and data, after an orderly stop if it still runs; resolves when healthy. */
  restart(index?: number): Promise<void>;
  /** What the server wrote to its log. */
  log(index?: number): Promise<string>;
  /** Ends every server and removes the data. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts real nats-servers, reachable at this machine's ports; resolves when JetStream can be used (in a cluster: when all
 * know the meta leader). The provider is a choice of the run, not of the test: processes, containers, or a server that
 * somebody else runs.
 */
export async function startNats(options: NatsFixtureOptions = {}): Promise<NatsFixture> {
  const provider = options.provider ?? chosenProvider(process.env['CABINET_TEST_NATS']);
  // Loaded when needed: the container library is large.
  switch (provider) {
    case 'binary':
      return (await import('./nats-processes.ts')).startNatsProcesses(options);
    case 'testcontainers':
      return (await import('./nats-containers.ts')).startNatsContainers(options);
    case 'url':
      return (await import('./nats-existing.ts')).useExistingNats(options);
    default:
      return provider satisfies never;
  }
}

/** The provider that a setting names. @throws Error that lists the providers */
export function chosenProvider(setting: string | undefined): NatsProvider {
  if (setting === undefined || setting === '') return 'binary';
  const provider = natsProviders.find((name) => name === setting);
  if (provider === undefined) {
    throw new Error(`CABINET_TEST_NATS is "${setting}"; it may be ${natsProviders.join(', ')}`);
  }
  return provider;
}
