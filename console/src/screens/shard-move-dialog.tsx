import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { asApiError, get, post, type ApiError } from '../api/http.ts';
import type { ClusterNodeRow, ShardRow } from '../api/types.ts';
import { shardCommandLine } from '../model/cli-command.ts';
import { ask } from '../parts/action-dialog.tsx';
import { ErrorBox } from '../parts/error-box.tsx';

/** What a move would change; null: not known yet. */
type Plan = readonly ShardRow[] | ApiError | null;

/** Opens the dialog that moves a shard, with a preview of what else would move. */
export function askMove(request: {
  readonly shard: number;
  readonly owner: string | null;
  readonly nodes: readonly ClusterNodeRow[];
  readonly onDone: () => void;
}): void {
  const { shard, owner, nodes, onDone } = request;
  const targets = nodes.filter(({ status }) => status === 'up').map(({ nodeId }) => nodeId);
  const target = signal(targets.find((nodeId) => nodeId !== owner) ?? targets[0] ?? '');
  const plan = signal<Plan>(null);
  const look = async (): Promise<void> => {
    const asked = target.value;
    plan.value = null;
    if (asked === '') return;
    const path = `/api/cluster/shards/${shard}/move-plan`;
    const found = await get<{ readonly shards: readonly ShardRow[] }>(path, { nodeId: asked }).then(
      ({ shards }) => shards,
      asApiError,
    );
    if (target.value === asked) plan.value = found;
  };
  void look();
  ask({
    title: `Move shard ${shard}`,
    verb: 'Move',
    about: (
      <p>
        The shard is pinned to the node, which takes it over from {owner ?? 'nobody'}. Its tasks go on there; the pin
        stays until it is taken back.
      </p>
    ),
    content: () => (
      <>
        <label class="field">
          <span>To</span>
          <select
            value={target.value}
            onChange={(event) => {
              target.value = event.currentTarget.value;
              void look();
            }}
          >
            {targets.map((nodeId) => (
              <option key={nodeId} value={nodeId}>
                {nodeId}
                {nodeId === owner ? ' (has it)' : ''}
              </option>
            ))}
          </select>
        </label>
        <Preview plan={plan.value} />
      </>
    ),
    isReady: () => target.value !== '',
    commandLine: (note) => shardCommandLine(shard, target.value, note),
    run: async ({ reason }) => {
      await post(`/api/cluster/shards/${shard}/move`, {
        nodeId: target.value,
        wait: false,
        ...(reason === undefined ? {} : { reason }),
      });
      return `Shard ${shard} is pinned to ${target.value}`;
    },
    onDone,
  });
}

function Preview({ plan }: { readonly plan: Plan }): JSX.Element {
  if (plan === null) return <p role="status">Looking what would move…</p>;
  if ('code' in plan) return <ErrorBox error={plan} />;
  if (plan.length === 0) return <p role="status">Nothing would move.</p>;
  return (
    <div role="status">
      <p>
        {plan.length} {plan.length === 1 ? 'shard' : 'shards'} would move:
      </p>
      <ul class="moves">
        {plan.slice(0, 50).map((row) => (
          <li key={row.shard}>
            {row.shard}: {row.from ?? 'nobody'} → {row.to ?? 'nobody'} <span class="quiet">{row.why}</span>
          </li>
        ))}
      </ul>
      {plan.length > 50 && <p class="quiet">and {plan.length - 50} more</p>}
    </div>
  );
}
