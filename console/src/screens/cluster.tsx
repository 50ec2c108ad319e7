import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { get, post } from '../api/http.ts';
import type { ClusterNodeRow, ClusterStatus, ShardRow } from '../api/types.ts';
import { useLive } from '../live.ts';
import { clusterTopic } from '../live/topics.ts';
import { nodeCommandLine, shardCommandLine } from '../model/cli-command.ts';
import { showDuration } from '../model/durations.ts';
import { movingShards } from '../model/shard-words.ts';
import { ask } from '../parts/action-dialog.tsx';
import { Empty, Loaded, Panel, Screen } from '../parts/screen.tsx';
import { ShardMap } from '../parts/shard-map.tsx';
import { may } from '../session.ts';
import { askMove } from './shard-move-dialog.tsx';

const everyMs = 2_000;

/** Nodes, shards and their owners, and the orders that can be given to them. */
export function ClusterScreen(): JSX.Element {
  const live = useLive({
    key: 'cluster',
    everyMs,
    load: (signal) => get<ClusterStatus>('/api/cluster', {}, signal),
    topic: clusterTopic,
  });
  const [chosen, setChosen] = useState<number | null>(null);
  return (
    <Screen title="Cluster">
      <Loaded live={live}>
        {(status) => (
          <>
            <Nodes status={status} onDone={live.refresh} />
            <Panel title="Shards" aside={<span class="quiet">color tells the owner, pattern the state</span>}>
              <ShardMap status={status} chosen={chosen} onChoose={setChosen} />
              <ShardFacts status={status} shard={chosen} onDone={live.refresh} />
            </Panel>
            <Rebalance status={status} />
          </>
        )}
      </Loaded>
    </Screen>
  );
}

const orders = {
  cordon: { label: 'Cordon', about: 'The node keeps what it has and takes nothing new, also after it starts again.' },
  uncordon: { label: 'Uncordon', about: 'The node takes shards again.' },
  drain: {
    label: 'Drain',
    about: 'The node hands all its shards over to the others and takes none, until it is uncordoned.',
  },
} as const;

function askOrder(order: keyof typeof orders, nodeId: string, onDone: () => void): void {
  const { label, about } = orders[order];
  ask({
    title: `${label} node`,
    verb: label,
    isDangerous: order === 'drain',
    ...(order === 'drain' ? { confirmWord: nodeId } : {}),
    about: (
      <>
        <p class="wrap">
          <strong>{nodeId}</strong>
        </p>
        <p>{about}</p>
      </>
    ),
    commandLine: (note) => nodeCommandLine(order, nodeId, note),
    run: async ({ reason }) => {
      await post(`/api/cluster/nodes/${nodeId}/${order}`, reason === undefined ? {} : { reason });
      return `${label}: ${nodeId}`;
    },
    onDone,
  });
}

function ordersFor({ status, order }: ClusterNodeRow): readonly (keyof typeof orders)[] {
  if (order === null) return status === 'down' ? ['cordon'] : ['cordon', 'drain'];
  return order === 'cordoned' ? ['uncordon', 'drain'] : ['uncordon'];
}

function Nodes({ status, onDone }: { readonly status: ClusterStatus; readonly onDone: () => void }): JSX.Element {
  const { nodes, waitingOrders } = status;
  return (
    <Panel title="Nodes" aside={<span class="quiet">{nodes.filter((node) => node.status !== 'down').length} up</span>}>
      {nodes.length === 0 ? (
        <Empty>No node has a lease.</Empty>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Nodes">
          <table>
            <thead>
              <tr>
                <th scope="col">Node</th>
                <th scope="col">State</th>
                <th scope="col">Order</th>
                <th scope="col" class="number">
                  Capacity
                </th>
                <th scope="col" class="number">
                  Shards
                </th>
                <th scope="col" class="number">
                  Should own
                </th>
                <th scope="col" class="number">
                  Handing over
                </th>
                <th scope="col" class="number">
                  Failing
                </th>
                <th scope="col" class="number">
                  Loop lag
                </th>
                <th scope="col">
                  <span class="hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {nodes.map((node) => (
                <tr key={`${node.nodeId} ${node.incarnation}`}>
                  <td class="clip" title={`${node.nodeId}, incarnation ${node.incarnation}`}>
                    {node.nodeId}
                  </td>
                  <td>
                    <span class={`state node-${node.status}`}>{node.status}</span>
                  </td>
                  <td>{node.order ?? <span class="quiet">–</span>}</td>
                  <td class="number">{node.capacity}</td>
                  <td class="number">{node.owned}</td>
                  <td class="number">
                    {node.desired}
                    {node.least !== null && (
                      <span class="quiet">
                        {' '}
                        ({node.least}–{node.most})
                      </span>
                    )}
                  </td>
                  <td class="number">{node.handingOver ?? '–'}</td>
                  <td class="number">{node.failing ?? '–'}</td>
                  <td class="number">{showDuration(node.loopLagMs)}</td>
                  <td>
                    {may('admin') && (
                      <div class="buttons">
                        {ordersFor(node).map((order) => (
                          <button
                            key={order}
                            type="button"
                            class="plain"
                            aria-label={`${orders[order].label} ${node.nodeId}`}
                            onClick={() => askOrder(order, node.nodeId, onDone)}
                          >
                            {orders[order].label}…
                          </button>
                        ))}
                      </div>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {waitingOrders.length > 0 && (
        <p class="quiet">
          Orders that wait for their node:{' '}
          {waitingOrders.map(({ nodeId, order }) => (
            <span key={nodeId}>
              {nodeId} {order}{' '}
              {may('admin') && (
                <button type="button" class="plain" onClick={() => askOrder('uncordon', nodeId, onDone)}>
                  Take back…
                </button>
              )}{' '}
            </span>
          ))}
        </p>
      )}
    </Panel>
  );
}

function ShardFacts(props: {
  readonly status: ClusterStatus;
  readonly shard: number | null;
  readonly onDone: () => void;
}): JSX.Element {
  const { status, shard, onDone } = props;
  const row = status.shards.find((one) => one.shard === shard);
  if (row === undefined) return <p class="quiet">Choose a shard to see its owner, its epoch and what can be done.</p>;
  return (
    <div class="shard-facts" role="status">
      <dl class="facts in-line">
        <dt>Shard</dt>
        <dd>{row.shard}</dd>
        <dt>Owner</dt>
        <dd>{row.from ?? 'nobody'}</dd>
        <dt>Epoch</dt>
        <dd>{row.epoch}</dd>
        <dt>State</dt>
        <dd>
          {row.kind}: {row.why}
        </dd>
        {row.pinnedTo !== null && (
          <>
            <dt>Pinned to</dt>
            <dd>{row.pinnedTo}</dd>
          </>
        )}
      </dl>
      {may('admin') && <ShardButtons row={row} status={status} onDone={onDone} />}
    </div>
  );
}

function ShardButtons(props: {
  readonly row: ShardRow;
  readonly status: ClusterStatus;
  readonly onDone: () => void;
}): JSX.Element {
  const { row, status, onDone } = props;
  return (
    <div class="buttons">
      <button type="button" onClick={() => askMove({ shard: row.shard, owner: row.from, nodes: status.nodes, onDone })}>
        Move…
      </button>
      {row.pinnedTo !== null && (
        <button
          type="button"
          onClick={() =>
            ask({
              title: `Unpin shard ${row.shard}`,
              verb: 'Unpin',
              about: <p>The shard goes where placement likes.</p>,
              commandLine: (note) => shardCommandLine(row.shard, null, note),
              run: async ({ reason }) => {
                await post(`/api/cluster/shards/${row.shard}/unpin`, reason === undefined ? {} : { reason });
                return `Shard ${row.shard} is not pinned any more`;
              },
              onDone,
            })
          }
        >
          Unpin…
        </button>
      )}
    </div>
  );
}

function Rebalance({ status }: { readonly status: ClusterStatus }): JSX.Element {
  const moving = movingShards(status.shards);
  return (
    <Panel title="Rebalance preview" class="is-bounded" aside={<code>cabinet rebalance --dry-run</code>}>
      {moving.length === 0 ? (
        <Empty>
          {status.isBalanced
            ? 'Every shard is where it should be.'
            : 'Nothing can move: shards wait for a node that may take them.'}
        </Empty>
      ) : (
        <>
          <p>
            {status.moves} to move, {status.takeovers} to take over, {status.free} free. The nodes do it by themselves.
          </p>
          <div class="scroll" tabIndex={0} role="region" aria-label="Shards that are about to move">
            <table>
              <thead>
                <tr>
                  <th scope="col" class="number">
                    Shard
                  </th>
                  <th scope="col">From</th>
                  <th scope="col">To</th>
                  <th scope="col">State</th>
                  <th scope="col">Why</th>
                </tr>
              </thead>
              <tbody>
                {moving.map((row) => (
                  <tr key={row.shard}>
                    <td class="number">{row.shard}</td>
                    <td class="clip">{row.from ?? 'nobody'}</td>
                    <td class="clip">{row.to ?? 'nobody'}</td>
                    <td>{row.kind}</td>
                    <td class="wide">{row.why}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
    </Panel>
  );
}
