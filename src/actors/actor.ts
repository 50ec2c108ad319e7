import type { TaskId } from '../core/ids.ts';
import type { ShardCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import type { ActorMessage } from './messages.ts';
import { Mailbox } from './mailbox.ts';
import type { TaskState } from './task-state.ts';

/** One item of a mailbox: a command with the way back to its sender, or a message of the task's own effects. */
export type MailboxItem =
  | {
      readonly kind: 'command';
      readonly command: Exclude<ShardCommand, { type: 'task.list' }>;
      readonly respond: (reply: Reply) => void;
    }
  | { readonly kind: 'message'; readonly message: ActorMessage; readonly respond: ((reply: Reply) => void) | null };

/**
 * One task's actor: its state, its mailbox, and how far its state is committed. One message at a time.
 *
 * ```
 * opening ──(is it a finished task? looked up)──► ready ◄──► preparing (checks and stores a command's payload)
 * ```
 */
export class Actor {
  readonly taskId: TaskId;
  readonly mailbox: Mailbox<MailboxItem>;
  phase: 'opening' | 'ready' | 'preparing' = 'opening';
  /** The state that decisions build on; may run ahead of the journal. Null: no such task. */
  state: TaskState | null = null;
  /** The state that the journal has: what may be shown to anyone outside. */
  committed: TaskState | null = null;
  /** Records that are decided and not acknowledged. */
  uncommitted = 0;
  /** When this actor crashed lately, by the monotonic clock. */
  crashesMs: readonly number[] = [];

  constructor(taskId: TaskId, mailboxCapacity: number) {
    this.taskId = taskId;
    this.mailbox = new Mailbox(mailboxCapacity);
  }

  /** Whether nothing is lost when the actor is forgotten: it has no message and nothing on the way to the journal. */
  get isIdle(): boolean {
    return this.phase === 'ready' && this.mailbox.size === 0 && this.uncommitted === 0;
  }
}
