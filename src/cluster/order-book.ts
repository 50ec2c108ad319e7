import { noOrders, type ClusterOrders } from '../core/cluster-orders.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { LeaseStore } from '../ports/leases.ts';
import type { Logger } from '../ports/logger.ts';

/** What {@link OrderBook} asks of the outside. */
export interface OrderBookDeps {
  readonly leases: Pick<LeaseStore, 'readOrders'>;
  readonly logger: Logger;
}

/**
 * The operators' orders as one node last read them. What cannot be read, or is older than what was read before, leaves them as
 * they are.
 */
export class OrderBook {
  readonly #deps: OrderBookDeps;
  #orders: ClusterOrders = noOrders;
  #revision = 0;
  /** Whether the last read failed: what is said once, and not at every look. */
  #isFailing = false;

  constructor(deps: OrderBookDeps) {
    this.#deps = deps;
  }

  /** The orders in force. */
  get orders(): ClusterOrders {
    return this.#orders;
  }

  /**
   * Reads for the first time, before the node takes anything: a document that cannot be read is said, and counts as no orders.
   *
   * @throws EngineError `UNAVAILABLE` and others of the store: what is wanted of this node is not known
   */
  async open(): Promise<ClusterOrders> {
    try {
      await this.#read();
    } catch (thrown) {
      if (!(thrown instanceof EngineError) || thrown.code !== 'RECORD_CORRUPT') throw thrown;
      this.#fail(thrown);
    }
    return this.#orders;
  }

  /** Reads again, and gives the orders in force after it. Never rejects. */
  async refresh(): Promise<ClusterOrders> {
    try {
      await this.#read();
    } catch (thrown) {
      this.#fail(asError(thrown));
    }
    return this.#orders;
  }

  async #read(): Promise<void> {
    const { orders, revision } = await this.#deps.leases.readOrders();
    this.#isFailing = false;
    // A leader that was replaced and does not know it yet may give what was before.
    if (revision <= this.#revision) return;
    this.#orders = orders;
    this.#revision = revision;
    const { nodes, pins } = orders;
    this.#deps.logger.info({ revision, nodes: Object.fromEntries(nodes), pins: pins.size }, 'the orders have changed');
  }

  #fail(error: Error): void {
    if (!this.#isFailing) {
      this.#deps.logger.error({ err: error }, 'the orders could not be read; the last ones stay in force');
    }
    this.#isFailing = true;
  }
}
