import { randomUUID } from 'node:crypto';

import {
  GenericContainer,
  getContainerRuntimeClient,
  getReaper,
  LABEL_TESTCONTAINERS_SESSION_ID,
  Network,
  Wait,
  type ContainerRuntimeClient,
  type StartedNetwork,
} from 'testcontainers';

import { findFreePorts } from '../../src/platform/free-port.ts';
import { natsConfigText } from './nats-config-text.ts';
import { untilNatsReady } from './nats-readiness.ts';
import type { NatsFixture, NatsFixtureOptions } from './nats-server.ts';

type Container = ReturnType<ContainerRuntimeClient['container']['getById']>;
type PrivateNetwork = Awaited<ReturnType<ContainerRuntimeClient['network']['create']>>;

/** The version that the engine is tested with. */
const testedNatsVersion = '2.15.1';
const clientPort = 4222;
const monitorPort = 8222;
const routePort = 6222;
const configFile = '/etc/nats-server.conf';
const stopTimeoutSeconds = 10;
/** Of the first server in the network of the servers; the bridge has 1. */
const firstBackAddress = 4;
/** Fresh ports are tried this often: another process may take a port between its choice and its use. */
const startAttempts = 4;

/** The image of nats-server: `CABINET_TEST_NATS_IMAGE`, or the official one of the version that the engine is tested with. */
export function natsImage(): string {
  return process.env['CABINET_TEST_NATS_IMAGE'] ?? `nats:${testedNatsVersion}`;
}

/** Starts nats-server containers whose ports are this machine's, the same ones over restarts. */
export async function startNatsContainers(options: NatsFixtureOptions): Promise<NatsFixture> {
  const client = await getContainerRuntimeClient();
  for (let attempt = 1; ; attempt += 1) {
    const fixture = new NatsContainers(client, options, await findFreePorts((options.servers ?? 1) * 2));
    try {
      await fixture.startAll();
      return fixture;
    } catch (error) {
      await fixture.stop();
      if (attempt >= startAttempts || !/port is already allocated|address already in use/.test(String(error))) {
        throw error;
      }
    }
  }
}

/**
 * Servers on two networks: clients come in by `front`, which publishes the ports; the routes between the servers run over
 * `back`. So a partition cuts a server off from its peers and leaves it its clients.
 */
class NatsContainers implements NatsFixture {
  readonly provider = 'testcontainers';
  readonly urls: readonly string[];
  readonly monitorUrls: readonly string[];
  readonly #client: ContainerRuntimeClient;
  readonly #options: NatsFixtureOptions;
  readonly #ports: readonly number[];
  readonly #host: string;
  readonly #containers: Container[] = [];
  #front: StartedNetwork | undefined;
  #back: PrivateNetwork | undefined;
  #backAddresses: readonly string[] = [];

  constructor(client: ContainerRuntimeClient, options: NatsFixtureOptions, ports: readonly number[]) {
    this.#client = client;
    this.#options = options;
    this.#ports = ports;
    // As every other address of the tests: a name may have a second address, on which nobody listens.
    const { host } = client.info.containerRuntime;
    this.#host = host === 'localhost' ? '127.0.0.1' : host;
    const indexes = Array.from({ length: options.servers ?? 1 }, (_, index) => index);
    this.urls = indexes.map((index) => `nats://${this.#host}:${this.#clientPort(index)}`);
    this.monitorUrls = indexes.map((index) => `http://${this.#host}:${this.#monitorPort(index)}`);
  }

  get url(): string {
    return this.urls[0] ?? '';
  }

  pid(): undefined {
    return undefined;
  }

  async startAll(): Promise<void> {
    this.#front = await new Network().start();
    if (this.urls.length > 1) this.#back = await this.#makeBackNetwork();
    const { sessionId } = await getReaper(this.#client);
    const label = { [LABEL_TESTCONTAINERS_SESSION_ID]: sessionId };
    await Promise.all(this.urls.map((_, index) => this.#create(index, this.#front, label)));
    await Promise.all(this.urls.map((_, index) => this.#untilReady(index)));
  }

  async kill(index = 0): Promise<void> {
    const container = this.#container(index);
    await this.resume(index); // A frozen container does not die.
    if (await this.#isRunning(index)) await container.kill();
    await container.wait();
  }

  async freeze(index = 0): Promise<void> {
    await this.#container(index).pause();
  }

  async resume(index = 0): Promise<void> {
    const { State } = await this.#container(index).inspect();
    if (State.Paused) await this.#container(index).unpause();
  }

  async enterLameDuckMode(index = 0): Promise<void> {
    await this.#container(index).kill({ signal: 'SIGUSR2' });
  }

  async partition(index = 0): Promise<void> {
    await this.#backNetwork().disconnect({ Container: this.#container(index).id });
  }

  async heal(index = 0): Promise<void> {
    await this.#joinBack(index, this.#container(index).id);
  }

  async restart(index = 0): Promise<void> {
    const container = this.#container(index);
    await this.resume(index);
    if (await this.#isRunning(index)) await container.stop({ t: stopTimeoutSeconds });
    await container.start();
    await this.#untilReady(index);
  }

  async log(index = 0): Promise<string> {
    const frames = await this.#container(index).logs({ follow: false, stdout: true, stderr: true });
    return textOfFrames(Buffer.from(frames));
  }

  async stop(): Promise<void> {
    const containers = this.#containers.splice(0);
    await Promise.all(
      containers.map(async (container) => {
        const { State } = await container.inspect();
        if (State.Paused) await container.unpause();
        await container.remove({ force: true, v: true });
      }),
    );
    const [front, back] = [this.#front, this.#back];
    this.#front = this.#back = undefined;
    await back?.remove();
    await front?.stop();
  }

  /**
   * A network whose servers have fixed addresses: they are the same after a partition, and no name server is needed, which
   * an engine can offer only with a firewall.
   */
  async #makeBackNetwork(): Promise<PrivateNetwork> {
    const { sessionId } = await getReaper(this.#client);
    const { network } = this.#client;
    const Labels = { [LABEL_TESTCONTAINERS_SESSION_ID]: sessionId };
    // The engine knows which addresses are free; it fixes only those of a range that it was given.
    const draft = await network.create({ Name: `nats-draft-${randomUUID()}`, Driver: 'bridge', Labels });
    const { IPAM } = (await draft.inspect()) as {
      readonly IPAM?: { readonly Config?: readonly { Subnet?: string }[] };
    };
    await draft.remove();
    const subnet = IPAM?.Config?.[0]?.Subnet ?? '';
    this.#backAddresses = this.urls.map((_, index) => addressIn(subnet, firstBackAddress + index));
    return network.create({
      Name: `nats-back-${randomUUID()}`,
      Driver: 'bridge',
      // Without a gateway it cannot become the network that publishes the ports.
      Internal: true,
      IPAM: { Config: [{ Subnet: subnet }] },
      Labels,
    });
  }

  async #create(
    index: number,
    front: StartedNetwork | undefined,
    labels: Readonly<Record<string, string>>,
  ): Promise<void> {
    const server = new NatsContainer({
      image: natsImage(),
      ports: { [clientPort]: this.#clientPort(index), [monitorPort]: this.#monitorPort(index) },
      hostIp: this.#host === '127.0.0.1' ? '127.0.0.1' : '',
      onCreated: async (id) => {
        this.#containers[index] = this.#client.container.getById(id);
        if (this.#back !== undefined) await this.#joinBack(index, id);
      },
    });
    await server
      .withNetworkMode(front?.getName() ?? '')
      .withLabels(labels)
      .withCommand(['-c', configFile])
      .withCopyContentToContainer([{ content: this.#configOf(index), target: configFile }])
      .withWaitStrategy(Wait.forLogMessage(/Listening for client connections/))
      .start();
  }

  #configOf(index: number): string {
    const routes = this.urls.map((_, peer) => `nats://${this.#backAddresses[peer]}:${routePort}`);
    return natsConfigText(
      {
        name: `n${index}`,
        listen: `0.0.0.0:${clientPort}`,
        monitor: `0.0.0.0:${monitorPort}`,
        dataDir: '/data',
        // Else clients are told the addresses inside, and go around the published ports.
        advertised: `${this.#host}:${this.#clientPort(index)}`,
        ...(this.urls.length > 1 ? { cluster: { listen: `0.0.0.0:${routePort}`, routes } } : {}),
      },
      this.#options,
    );
  }

  async #joinBack(index: number, id: string): Promise<void> {
    await this.#backNetwork().connect({
      Container: id,
      EndpointConfig: { IPAMConfig: { IPv4Address: this.#backAddresses[index] ?? '' } },
    });
  }

  async #untilReady(index: number): Promise<void> {
    await untilNatsReady({
      name: `n${index}`,
      monitorUrl: this.monitorUrls[index] ?? '',
      needsMetaLeader: this.urls.length > 1 && this.#options.jetStream !== false,
      hasEnded: async () => !(await this.#isRunning(index)),
      log: () => this.log(index),
    });
  }

  async #isRunning(index: number): Promise<boolean> {
    const { State } = await this.#container(index).inspect();
    return State.Running;
  }

  #backNetwork(): PrivateNetwork {
    if (this.#back === undefined) throw new Error('one server alone cannot be cut off from others: ask for 3');
    return this.#back;
  }

  #container(index: number): Container {
    const container = this.#containers[index];
    if (container === undefined) throw new Error(`there is no server ${index}, only ${this.#containers.length}`);
    return container;
  }

  #clientPort(index: number): number {
    return this.#ports[index * 2] ?? 0;
  }

  #monitorPort(index: number): number {
    return this.#ports[index * 2 + 1] ?? 0;
  }
}

/** A container that publishes fixed ports on one address of this machine, and can be joined to networks before it starts. */
class NatsContainer extends GenericContainer {
  readonly #onCreated: (id: string) => Promise<void>;

  constructor(options: {
    readonly image: string;
    /** Ports inside, and what they are on this machine: a random one would change with every start. */
    readonly ports: Readonly<Record<number, number>>;
    readonly hostIp: string;
    readonly onCreated: (id: string) => Promise<void>;
  }) {
    super(options.image);
    this.#onCreated = options.onCreated;
    const ports = Object.entries(options.ports);
    this.withExposedPorts(...ports.map(([container, host]) => ({ container: Number(container), host })));
    this.hostConfig.PortBindings = Object.fromEntries(
      ports.map(([container, host]) => [`${container}/tcp`, [{ HostIp: options.hostIp, HostPort: String(host) }]]),
    );
  }

  protected override async containerCreated(id: string): Promise<void> {
    await this.#onCreated(id);
  }
}

/** The address with a number in a range such as `10.0.0.16/28`. */
function addressIn(subnet: string, number: number): string {
  const parts = (subnet.split('/')[0] ?? '').split('.').map(Number);
  return [...parts.slice(0, 3), (parts[3] ?? 0) + number].join('.');
}

/** A container's log without the 8-byte headers that tell the stream and the size of each piece. */
function textOfFrames(frames: Buffer): string {
  const pieces: string[] = [];
  let offset = 0;
  while (offset + 8 <= frames.length) {
    const end = offset + 8 + frames.readUInt32BE(offset + 4);
    pieces.push(frames.toString('utf8', offset + 8, end));
    offset = end;
  }
  return pieces.join('');
}
