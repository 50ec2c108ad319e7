import type { JsonValue } from '../core/json.ts';
import type { TaskCommandName } from '../core/task-view.ts';
import type { Controlled } from './client.ts';
import type { NodeOrdered } from './cluster-client.ts';
import type { RedriveOutcome } from './dead-letter-client.ts';
import type { OperatorAction, OperatorAudit } from './operator-audit.ts';

// What operators do at a command line and by agents, with the lines that stand in the audit log for it: the same for both.

/** Who asks, and why. */
type Note = Pick<OperatorAction, 'by' | 'reason'>;

/** A command to one task. @throws EngineError as {@link OperatorAudit.record} */
export function auditTaskCommand(
  audit: OperatorAudit,
  asked: Note & Pick<OperatorAction, 'commandId'> & { readonly name: TaskCommandName; readonly taskId: string },
  send: () => Promise<Controlled>,
): Promise<Controlled> {
  const { name, taskId, by, reason, commandId } = asked;
  return audit.record({ action: `task.${name}`, target: taskId, by, reason, commandId }, send, (done) => ({
    state: done.state,
    repeated: done.repeated,
  }));
}

/** A redrive of dead letters. @throws EngineError as {@link OperatorAudit.record} */
export function auditRedrive(
  audit: OperatorAudit,
  { by, reason, parameters }: Note & { readonly parameters: JsonValue },
  redrive: () => Promise<readonly RedriveOutcome[]>,
): Promise<readonly RedriveOutcome[]> {
  return audit.record(
    { action: 'dead-letters.redrive', target: null, by, reason, parameters },
    redrive,
    (outcomes) => ({
      redriven: outcomes.filter(({ kind }) => kind === 'done').length,
    }),
  );
}

/** An order to a node. @throws EngineError as {@link OperatorAudit.record} */
export function auditNodeOrder(
  audit: OperatorAudit,
  asked: Note &
    Pick<OperatorAction, 'before'> & { readonly name: 'cordon' | 'uncordon' | 'drain'; readonly nodeId: string },
  give: () => Promise<NodeOrdered>,
): Promise<NodeOrdered> {
  const { name, nodeId, ...note } = asked;
  return audit.record({ action: `node.${name}`, target: nodeId, ...note }, give, ({ order }) => ({ order }));
}
