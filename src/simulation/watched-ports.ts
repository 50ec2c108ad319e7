import type { AppendEvent, HistoryEvent, ProcessName, ReplyEvent } from '../checking/history-events.ts';
import { decodeCommit } from '../core/commit-codec.ts';
import type { Millis, ShardId } from '../core/ids.ts';
import type { Reply } from '../core/replies.ts';
import type { BusService } from '../ports/bus.ts';
import type { Journal } from '../ports/journal.ts';
import type { DeliverCommand } from '../transport/shard-service.ts';

/** What one process wants to know of its own appends. */
export interface AppendListener {
  /** Before a claim is sent. */
  readonly onClaim: (shard: ShardId, epoch: number) => void;
  readonly onConflict: (shard: ShardId, epoch: number) => void;
}

/** What is recorded of a node's dealings with its shards. */
export class ShardWatch {
  readonly #now: () => Millis;
  readonly #record: (event: HistoryEvent) => void;
  /** Who claimed a shard's epoch. */
  readonly #claimants = new Map<string, ProcessName>();
  readonly #open = new Set<AppendEvent>();

  constructor(deps: { readonly now: () => Millis; readonly record: (event: HistoryEvent) => void }) {
    this.#now = deps.now;
    this.#record = deps.record;
  }

  /** Who owns a shard's epoch. */
  ownerOf({ shard, epoch }: { readonly shard: number; readonly epoch: number }): ProcessName {
    return this.#claimants.get(`${shard}.${epoch}`) ?? { node: 'nobody', incarnation: 'nobody' };
  }

  /** What is still unanswered when all is over. */
  finish(): void {
    for (const event of this.#open) this.#record(event);
    this.#open.clear();
  }

  /** A journal whose appends are recorded. */
  watchJournal(inner: Journal, listener: AppendListener): Journal {
    return {
      maximumBodyBytes: inner.maximumBodyBytes,
      append: async (request) => {
        const [, epoch = 0, batch = 0] = request.messageId.split('.').map(Number);
        const { shard, expectedLast } = request;
        if (batch === 1) {
          this.#noteClaim(shard, epoch, request.body);
          listener.onClaim(shard, epoch);
        }
        const sent: AppendEvent = {
          type: 'append',
          ...this.ownerOf({ shard, epoch }),
          shard,
          epoch,
          batch,
          expectedLast,
          sentAt: this.#now(),
          answeredAt: null,
          outcome: 'none',
        };
        this.#open.add(sent);
        const outcome = await inner.append(request);
        this.#open.delete(sent);
        if (outcome.kind === 'conflict') listener.onConflict(shard, epoch);
        const answered = { ...sent, answeredAt: this.#now(), outcome: outcome.kind };
        this.#record(outcome.kind === 'committed' ? { ...answered, sequence: outcome.sequence } : answered);
        return outcome;
      },
      readLast: (shard) => inner.readLast(shard),
      read: (range) => inner.read(range),
      follow: (from) => inner.follow(from),
      bounds: () => inner.bounds(),
      trim: (shard, through) => inner.trim(shard, through),
    };
  }

  #noteClaim(shard: ShardId, epoch: number, body: Uint8Array): void {
    const { owner } = decodeCommit(body);
    if (owner === undefined) return;
    this.#claimants.set(`${shard}.${epoch}`, { node: owner.node, incarnation: owner.incarnation });
  }
}

/** The shards that one process serves. */
export class ServiceWatch {
  readonly #now: () => Millis;
  readonly #record: (event: HistoryEvent) => void;
  readonly #serving = new Map<ShardId, { readonly name: ProcessName; readonly epoch: number }>();

  constructor(deps: { readonly now: () => Millis; readonly record: (event: HistoryEvent) => void }) {
    this.#now = deps.now;
    this.#record = deps.record;
  }

  /** A shard is served from here on. @param how - how its end is to be told, asked when it ends */
  opened(
    shard: ShardId,
    owner: { readonly name: ProcessName; readonly epoch: number },
    service: BusService,
    how: () => 'released' | 'lost',
  ): BusService {
    this.#serving.set(shard, owner);
    this.#record({ type: 'shard.opened', ...owner.name, shard, epoch: owner.epoch, at: this.#now() });
    return {
      stop: () => {
        if (this.#serving.get(shard) === owner) this.#close(shard, owner, how());
        return service.stop();
      },
    };
  }

  /** Records what is answered about tasks, before it is known whether anybody hears it. */
  watchReplies(
    shard: ShardId,
    owner: { readonly name: ProcessName; readonly epoch: number },
    deliver: DeliverCommand,
  ): DeliverCommand {
    return (command, respond) =>
      deliver(command, (reply) => {
        const told = toldBy(reply);
        if (told !== null) {
          const { epoch, name } = owner;
          const named = told.says === 'done' && 'commandId' in command ? { commandId: command.commandId } : {};
          this.#record({ type: 'reply', ...name, shard, epoch, ...told, ...named, at: this.#now() });
        }
        respond(reply);
      });
  }

  /** The process died with all that it served. */
  crashed(): void {
    for (const [shard, owner] of this.#serving) this.#close(shard, owner, 'crashed');
  }

  #close(
    shard: ShardId,
    { name, epoch }: { readonly name: ProcessName; readonly epoch: number },
    how: 'released' | 'lost' | 'crashed',
  ): void {
    this.#serving.delete(shard);
    this.#record({ type: 'shard.closed', ...name, shard, epoch, how, at: this.#now() });
  }
}

/** What a reply says of a task; null when it says nothing. */
function toldBy(reply: Reply): Pick<ReplyEvent, 'task' | 'says' | 'state'> | null {
  switch (reply.kind) {
    case 'accepted':
    case 'existing':
    case 'done':
      return { task: reply.taskId, says: reply.kind, state: reply.state };
    case 'pending':
      return { task: reply.taskId, says: 'state', state: reply.state };
    case 'completed':
      return { task: reply.taskId, says: 'state', state: reply.kind };
    case 'task':
    case 'ended':
      return { task: reply.task.taskId, says: 'state', state: reply.task.state };
    default:
      return null;
  }
}
