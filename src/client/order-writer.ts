import { checkOrderBounds, type ClusterOrders } from '../core/cluster-orders.ts';
import { EngineError } from '../core/errors.ts';
import type { NodeId } from '../core/ids.ts';
import { encodeNodeMessage } from '../core/node-messages.ts';
import { clusterSubject } from '../core/subjects.ts';
import type { Bus } from '../ports/bus.ts';
import type { LeaseStore } from '../ports/leases.ts';

/** What {@link OrderWriter} asks of the outside. */
export interface OrderWriterDeps {
  readonly leases: Pick<LeaseStore, 'readOrders' | 'writeOrders'>;
  readonly bus: Bus;
  readonly namespace: string;
  readonly shardCount: number;
}

/** How often a change is made anew because another operator was faster. */
const maximumTries = 16;
/** Nobody answers a notice: how long the bus keeps it in mind. */
const noticeTimeoutMs = 1;
/** Who sends the notice: no node, so that every node hears it as another's. */
const sender = { nodeId: 'operator' as NodeId, incarnation: 'operator' };

/** Changes the cluster's orders, so that the changes of two operators at one time are both kept. */
export class OrderWriter {
  readonly #deps: OrderWriterDeps;

  constructor(deps: OrderWriterDeps) {
    this.#deps = deps;
  }

  /**
   * Changes the orders as the store has them, and tells the nodes to look.
   *
   * @param change - the orders after the change; the same object when there is nothing to change; called again when somebody else
   *   was faster; what it throws is thrown
   * @returns the orders before the change and after it
   * @throws EngineError `UNAVAILABLE`, `RECORD_CORRUPT`, `INVALID_ARGUMENT` when there would be too many
   */
  async change(
    change: (orders: ClusterOrders) => ClusterOrders | Promise<ClusterOrders>,
  ): Promise<{ readonly before: ClusterOrders; readonly after: ClusterOrders }> {
    const { leases, shardCount } = this.#deps;
    for (let tryCount = 1; tryCount <= maximumTries; tryCount += 1) {
      const { orders, revision } = await leases.readOrders();
      const after = await change(orders);
      if (after === orders) return { before: orders, after };
      checkOrderBounds(after, shardCount);
      const outcome = await leases.writeOrders(after, revision);
      if (outcome.kind === 'lost') continue;
      this.#tellNodes();
      return { before: orders, after };
    }
    throw new EngineError('UNAVAILABLE', `the orders were changed by others ${maximumTries} times meanwhile`, {
      hint: 'give the order again',
    });
  }

  /** They look by themselves too, only later. */
  #tellNodes(): void {
    const { bus, namespace } = this.#deps;
    void bus.request(clusterSubject(namespace, 'changed'), encodeNodeMessage(sender), { timeoutMs: noticeTimeoutMs });
  }
}
