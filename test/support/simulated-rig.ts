import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { Connection } from '../../src/simulation/connection.ts';
import { Network } from '../../src/simulation/network.ts';
import { Scheduler } from '../../src/simulation/scheduler.ts';
import { BusServer, SimulatedBus } from '../../src/simulation/simulated-bus.ts';
import { SimulatedProcess } from '../../src/simulation/simulated-process.ts';
import { StoreClient } from '../../src/simulation/store-client.ts';
import { StoreServer } from '../../src/simulation/store-server.ts';
import { forbiddenPrefix } from '../contract/bus.contract.ts';
import { RecordingLogger } from './nats-world.ts';

/** The simulation's servers without faults, in real time, so that the contract suites can be run on them. */
export class SimulatedRig {
  readonly logger = new RecordingLogger();
  readonly #scheduler = new Scheduler(new SeededRandom(7));
  readonly #network = new Network({ scheduler: this.#scheduler, random: new SeededRandom(8) });
  readonly #bus = new BusServer({
    random: new SeededRandom(9),
    mayPublish: (subject) => !subject.startsWith(forbiddenPrefix),
  });
  readonly #store: StoreServer;
  readonly #startAt = Date.now();
  #processes = 0;
  #isStopped = false;

  constructor(replicas: 1 | 3 = 1, namespace = 'contract') {
    this.#store = new StoreServer({
      scheduler: this.#scheduler,
      random: new SeededRandom(10),
      namespace,
      replicas,
      startAt: this.#startAt,
    });
    this.namespace = namespace;
    void this.#run();
  }

  readonly namespace: string;

  /** The stores as one more process has them. */
  storeClient(): StoreClient {
    const { logger, namespace } = this;
    return new StoreClient({ server: this.#store, connection: this.#connect('store'), logger, namespace });
  }

  /** Request and reply as one more process has them. */
  busClient(): SimulatedBus {
    return new SimulatedBus({ server: this.#bus, connection: this.#connect('bus'), logger: this.logger });
  }

  /** Lets time pass. */
  elapse(ms: number): Promise<void> {
    return this.#scheduler.pause(ms, 'elapse');
  }

  stop(): void {
    this.#isStopped = true;
  }

  #connect(server: string): Connection {
    this.#processes += 1;
    const name = `process-${this.#processes}`;
    const process = new SimulatedProcess(this.#scheduler, {
      name,
      machine: name,
      startAt: this.#startAt,
      clockRate: 1,
    });
    return new Connection({ network: this.#network, process, server });
  }

  async #run(): Promise<void> {
    const startedMs = performance.now();
    while (!this.#isStopped) {
      await this.#scheduler.run(performance.now() - startedMs);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
