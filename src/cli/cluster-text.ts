import type { ClusterNodeRow, ClusterStatus } from '../client.ts';
import { formatSpan } from './duration.ts';
import { formatFields, formatTable, type Column } from './table.ts';
import type { Tone } from './terminal.ts';
import type { Drawing } from './view.ts';

type ShardRow = ClusterStatus['shards'][number];

const nodeTones: { readonly [Status in ClusterNodeRow['status']]: Tone } = {
  up: 'good',
  down: 'bad',
  draining: 'warn',
  cordoned: 'warn',
};

/** Most names of failing ports in a row. */
const shownPorts = 3;

/** A lag from which on it catches the eye. */
const lagToneMs = 1_000;

const nodeColumns: readonly Column<ClusterNodeRow>[] = [
  { title: 'NODE', value: ({ nodeId }) => nodeId },
  { title: 'STATUS', value: ({ status }) => status, tone: ({ status }) => nodeTones[status] },
  { title: 'CAPACITY', value: ({ capacity }) => String(capacity), align: 'right' },
  { title: 'SHARDS', value: ({ owned }) => String(owned), align: 'right' },
  { title: 'SHOULD', value: ({ desired }) => String(desired), align: 'right' },
  { title: 'BOUNDS', value: ({ least, most }) => (least === null || most === null ? '-' : `${least}–${most}`) },
  { title: 'MOVING', value: ({ handingOver }) => count(handingOver), align: 'right' },
  {
    title: 'FAILING',
    value: ({ failing }) => count(failing),
    tone: ({ failing }) => ((failing ?? 0) > 0 ? 'bad' : undefined),
    align: 'right',
  },
  {
    title: 'STAGES',
    value: ({ stages }) => (stages === null ? '-' : `${stages.running}/${stages.limit}`),
    align: 'right',
  },
  { title: 'WAITING', value: waitingStages, align: 'right' },
  {
    title: 'PORTS DOWN',
    value: failingPorts,
    tone: ({ openBreakerCount }) => ((openBreakerCount ?? 0) > 0 ? 'bad' : undefined),
  },
  {
    title: 'LAG',
    value: ({ loopLagMs }) => (loopLagMs === null ? '-' : formatSpan(loopLagMs)),
    tone: ({ loopLagMs }) => ((loopLagMs ?? 0) >= lagToneMs ? 'warn' : undefined),
    align: 'right',
  },
  { title: 'INCARNATION', value: ({ incarnation }) => incarnation },
];

const shardColumns: readonly Column<ShardRow>[] = [
  { title: 'SHARD', value: ({ shard }) => String(shard), align: 'right' },
  { title: 'OWNER', value: ({ from }) => from ?? '-' },
  { title: 'SHOULD', value: ({ to }) => to ?? '-' },
  { title: 'PIN', value: ({ pinnedTo }) => pinnedTo ?? '-' },
  { title: 'EPOCH', value: ({ epoch }) => String(epoch), align: 'right' },
  { title: 'STATE', value: ({ kind }) => kind, tone: ({ kind }) => (kind === 'settled' ? undefined : 'warn') },
  { title: 'WHY', value: ({ why }) => why },
];

/** Orders that wait for nodes that are not there, one a line, for people. */
export function waitingOrderNotes(orders: ClusterStatus['waitingOrders']): readonly string[] {
  return orders.map(({ nodeId, order }) => `node ${nodeId} is not there; it is to be ${order} when it comes`);
}

/** Nodes as a table. */
export function nodeTable(nodes: readonly ClusterNodeRow[], { paint, width }: Drawing): string {
  return nodes.length === 0 ? paint('dim', 'no nodes') : formatTable(nodeColumns, nodes, { paint, width });
}

/** Shards as a table. @param whenNone - said when there is none */
export function shardTable(shards: readonly ShardRow[], { paint, width }: Drawing, whenNone = 'no shards'): string {
  return shards.length === 0 ? paint('dim', whenNone) : formatTable(shardColumns, shards, { paint, width });
}

/** The cluster in a few lines, and its nodes. */
export function clusterSummary(status: ClusterStatus, drawing: Drawing): string {
  const { nodes, shards, moves, takeovers, free, isBalanced } = status;
  const fields = [
    ['nodes', String(nodes.length)],
    ['shards', String(shards.length)],
    ['balanced', isBalanced ? 'yes' : 'no'],
    ['to move', String(moves)],
    ['to take over', String(takeovers)],
    ['free', String(free)],
  ] as const;
  return `${formatFields(fields, drawing.paint)}\n\n${nodeTable(nodes, drawing)}`;
}

function waitingStages({ stages }: ClusterNodeRow): string {
  if (stages === null) return '-';
  const { waiting, suspectsWaiting } = stages;
  return suspectsWaiting === 0 ? String(waiting) : `${waiting} (${suspectsWaiting} suspect)`;
}

/** Ports whose breaker is open, as many as catch the eye. */
function failingPorts({ openBreakers, openBreakerCount }: ClusterNodeRow): string {
  if (openBreakers === null) return '-';
  const shown = openBreakers.slice(0, shownPorts).map(({ port }) => port);
  const more = (openBreakerCount ?? openBreakers.length) - shown.length;
  if (shown.length === 0) return 'none';
  return more > 0 ? `${shown.join(' ')} +${more}` : shown.join(' ');
}

function count(value: number | null): string {
  return value === null ? '-' : String(value);
}
