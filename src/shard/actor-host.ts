import { Actor, type MailboxItem } from '../actors/actor.ts';
import { failureOf } from '../actors/classify.ts';
import { compareSubmit, decide, taskNotFound, type Decision } from '../actors/decide.ts';
import { effectsBetween } from '../actors/effects.ts';
import { isAsked, isSuspectLookup } from '../actors/lookup-suspicion.ts';
import type { ActorMessage } from '../actors/messages.ts';
import { decodeSnapshot, encodeSnapshot } from '../actors/snapshot-codec.ts';
import type { StageRunnerDeps } from '../actors/stage-runner.ts';
import { isFinished, positionOf, type TaskState } from '../actors/task-state.ts';
import { outputsOf, viewOf } from '../actors/view-of.ts';
import type { EngineConfig } from '../core/config.ts';
import { asError, EngineError } from '../core/errors.ts';
import { contentHash } from '../core/hash.ts';
import type { Sequence, StageName, TaskId } from '../core/ids.ts';
import type { QueryCommand, SubmitCommand, TaskCommand } from '../core/messages.ts';
import type { Reply } from '../core/replies.ts';
import { noteCrash } from '../core/restart-intensity.ts';
import { endedStatuses, type TaskStatus, type TaskView } from '../core/task-view.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { needsPreparation, prepareResolve, prepareSubmit, unprepared } from './command-preparation.ts';
import { countRecord } from './count-record.ts';
import type { FinishedTasks } from './finished-tasks.ts';
import type { GroupCommit } from './group-commit.ts';
import { LiveCounts, type LiveStatus } from './live-counts.ts';
import { outlookOf } from './outlook-of.ts';
import type { Passivation } from './passivation.ts';
import { wakesAt } from './passive-tasks.ts';
import type { ResultWaiters } from './result-waiters.ts';
import type { ShardMetrics } from './shard-metrics.ts';
import type { ShardOwner } from './shard-owner.ts';
import type { StageHost } from './stage-host.ts';

/** The parts of its shard that an actor host works with. */
export interface ActorHostDeps {
  readonly config: EngineConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ShardMetrics;
  readonly registry: PipelineRegistry;
  readonly payloads: StageRunnerDeps['payloads'];
  readonly commit: GroupCommit;
  readonly stages: StageHost;
  readonly waiters: ResultWaiters;
  readonly finished: FinishedTasks;
  readonly passivation: Passivation;
  /** The task's state as of a commit, for the write-behind. */
  readonly onChanged: (state: TaskState, sequence: Sequence) => void;
}

/** What a caller is told to wait when a mailbox or the shard has too much in hand. */
export const overloadRetryAfterMs = 50;

type Respond = (reply: Reply) => void;

/**
 * The actors of one shard: their mailboxes, one message at a time, idempotency before anything else.
 *
 * Nothing leaves before its commit: a decision changes the actor's state in memory at once, but its effects and its reply wait
 * for the acknowledgement. If the commit is refused, the whole shard is dropped and another owner re-reads it; so to run ahead
 * costs nothing.
 */
export class ActorHost {
  readonly #deps: ActorHostDeps;
  readonly #owner: ShardOwner;
  readonly #actors = new Map<TaskId, Actor>();
  /** Actors whose next message waits until the journal has caught up. */
  readonly #heldBack = new Set<Actor>();
  readonly #liveCounts = new LiveCounts();
  #waitingCommands = 0;
  #closed = false;
  /** Callers whose answer waits for a commit. */
  readonly #unanswered = new Set<Respond>();

  constructor(deps: ActorHostDeps, owner: ShardOwner) {
    this.#deps = deps;
    this.#owner = owner;
  }

  /** Tasks in memory. */
  get residentCount(): number {
    return this.#actors.size;
  }

  /** Tasks in memory and passive ones. */
  get size(): number {
    const { size, loading } = this.#deps.passivation;
    return this.#actors.size + size - loading;
  }

  /** Whether the task lives, in memory or not, or somebody asks for it now. */
  has(taskId: TaskId): boolean {
    return this.#actors.has(taskId) || this.#deps.passivation.has(taskId);
  }

  /** Commands that wait in mailboxes. */
  get waitingCommands(): number {
    return this.#waitingCommands;
  }

  /** Tasks that have not ended for good, by status. */
  get liveCounts(): Readonly<Record<LiveStatus, number>> {
    return this.#liveCounts.counts;
  }

  /** Puts a command into its task's mailbox; `respond` is called exactly once, when what it tells is committed. */
  deliver(command: TaskCommand, respond: Respond): void {
    const actor = this.#actorOf(command.taskId);
    const isWaiting = command.type === 'task.submit' && command.waitMs !== undefined;
    const answer = isWaiting ? this.#respondWhenEnded(actor, command, respond) : respond;
    if (!actor.mailbox.offer({ kind: 'command', command, respond: answer })) {
      const { capacity } = actor.mailbox;
      const full = new EngineError('MAILBOX_FULL', `task ${command.taskId} has ${capacity} messages waiting`, {
        limit: `${capacity} messages`,
        retryAfterMs: overloadRetryAfterMs,
      });
      return this.#reject(full, respond);
    }
    this.#waitingCommands += 1;
    this.#process(actor);
  }

  /** Puts an outcome of a task's own effects into its mailbox. */
  deliverOutcome(taskId: TaskId, message: ActorMessage): void {
    const actor = this.#actors.get(taskId) ?? this.#passiveActor(taskId, message);
    if (actor === null) {
      this.#dropStraggler(taskId, null, message, 'the task has ended, or waits for other things');
      return;
    }
    // Never refused for a full mailbox: it is the result of something that this very task has running.
    actor.mailbox.push({ kind: 'message', message, respond: null });
    this.#process(actor);
  }

  /**
   * Takes over a task that a recovery brought back, and issues what its state still needs.
   *
   * @param isAfterLoss - the owner before was lost, and may have been while it asked about an outcome
   * @returns whether something of the task was cut off, which is to be recorded by an `owner.changed` now
   */
  adopt(state: TaskState, sequence: Sequence, isAfterLoss: boolean): boolean {
    const actor = new Actor(state.taskId, this.#deps.config.mailboxCapacity);
    actor.phase = 'ready';
    actor.state = state;
    actor.committed = state;
    this.#actors.set(state.taskId, actor);
    this.#liveCounts.moved(null, state);
    const { status, stage } = positionOf(state.machine.value);
    if (status === 'running') return true;
    if (isAfterLoss && status === 'unknown' && stage !== null) return this.#adoptLookup(state, stage);
    this.#runEffects(null, state, this.#definitionOf(state), sequence);
    return false;
  }

  /** A lookup that may have killed its node. One that is suspected of it is recorded and asked when its turn has come. */
  #adoptLookup(state: TaskState, stage: StageName): boolean {
    const { config, stages } = this.#deps;
    const spec = this.#definitionOf(state).stage(stage);
    if (!isAsked(state, spec, config)) return false;
    const lookupLosses = (state.lookupLosses ?? 0) + 1;
    if (!isSuspectLookup(lookupLosses, config) || !isAsked({ lookupLosses }, spec, config)) return true;
    const { taskId } = state;
    stages.awaitLookupTurn(taskId, () => this.deliverOutcome(taskId, { type: 'owner.changed' }));
    return false;
  }

  /** Counts the passive tasks of a recovery. */
  adoptPassive(counts: ReadonlyMap<TaskStatus, number>): void {
    for (const [status, count] of counts) this.#liveCounts.recovered(status as LiveStatus, count);
  }

  /** Forgets a task that is as it was stored and has nothing under way; see `Passivation`. */
  release(state: TaskState): 'released' | 'busy' | 'changed' {
    const { taskId } = state;
    const { stages, waiters, clock, config } = this.#deps;
    const actor = this.#actors.get(taskId);
    if (actor?.committed !== state) return 'changed';
    const hasCrashed =
      clock.monotonicMs() - (actor.crashesMs.at(-1) ?? Number.NEGATIVE_INFINITY) < config.actorRestartPeriodMs;
    if (!actor.isIdle || hasCrashed || stages.isBusy(taskId) || waiters.has(taskId)) return 'busy';
    this.#actors.delete(taskId);
    return 'released';
  }

  /** Drops the timers of tasks that are not in memory, or that wait for other things by now. */
  dropStaleTimers(): void {
    this.#deps.stages.retainTimers(
      ({ taskId, dueAt }) => this.#actors.get(taskId)?.state?.machine.control.dueAt === dueAt,
    );
  }

  /** The committed states of the tasks in memory. */
  *committedStates(): Generator<TaskState, void, undefined> {
    for (const { committed } of this.#actors.values()) if (committed !== null) yield committed;
  }

  /** The committed state of a task in memory, or null. */
  committedState(taskId: TaskId): TaskState | null {
    return this.#actors.get(taskId)?.committed ?? null;
  }

  /** A task as it is shown outside. */
  view(state: TaskState, payloads: 'none' | 'outputs' | 'all'): TaskView {
    const { node, epoch, shard } = this.#owner;
    return viewOf(state, { definition: this.#definitionOf(state), shard, owner: { node, epoch }, payloads });
  }

  /**
   * Handles nothing any more.
   *
   * @param replies - `untouched`: for those whose command was not looked at. `uncertain`: for those whose answer waited for a
   *   commit; it may be written or not, the next owner knows, and the same command id gets one answer
   */
  close(replies: { readonly untouched: Reply; readonly uncertain: Reply }): void {
    this.#closed = true;
    for (const actor of this.#actors.values()) {
      for (let item = actor.mailbox.take(); item !== undefined; item = actor.mailbox.take()) {
        item.respond?.(replies.untouched);
      }
    }
    for (const respond of this.#unanswered) respond(replies.uncertain);
    this.#unanswered.clear();
    this.#actors.clear();
    this.#heldBack.clear();
    this.#waitingCommands = 0;
  }

  #actorOf(taskId: TaskId): Actor {
    const known = this.#actors.get(taskId);
    if (known !== undefined) return known;
    const actor = new Actor(taskId, this.#deps.config.mailboxCapacity);
    this.#actors.set(taskId, actor);
    if (this.#deps.passivation.has(taskId)) {
      this.#activate(actor, 'command');
      return actor;
    }
    this.#deps.finished.find(taskId, (found) => {
      if (this.#actors.get(taskId) !== actor) return;
      if (found.kind === 'failed') {
        this.#actors.delete(taskId);
        this.#answerAll(actor, toEngineError(found.error));
        return;
      }
      actor.state = found.state;
      actor.committed = found.state;
      actor.phase = 'ready';
      // Found at once: the caller has still to put its command into the mailbox.
      if (actor.mailbox.size > 0) this.#process(actor);
    });
    return actor;
  }

  /** Of a passive task, to whom only its due time is news: all else that comes without being asked for is late. */
  #passiveActor(taskId: TaskId, message: ActorMessage): Actor | null {
    if (message.type !== 'timer.fired' || !this.#deps.passivation.has(taskId)) return null;
    const actor = new Actor(taskId, this.#deps.config.mailboxCapacity);
    this.#actors.set(taskId, actor);
    this.#activate(actor, 'timer');
    return actor;
  }

  /** Brings a passive task back; what comes until then waits in its mailbox. */
  #activate(actor: Actor, by: 'command' | 'timer'): void {
    const { passivation, stages } = this.#deps;
    const { taskId } = actor;
    passivation.load(taskId, by, (outcome) => {
      if (this.#actors.get(taskId) !== actor) return;
      if (outcome.kind === 'failed') {
        this.#actors.delete(taskId);
        this.#answerAll(actor, outcome.error);
        return;
      }
      const { state } = outcome;
      actor.state = state;
      actor.committed = state;
      actor.phase = 'ready';
      this.#process(actor);
      // Its timer was let go with it, and it still waits for that.
      const dueAt = wakesAt(state);
      const still = this.#actors.get(taskId)?.state;
      if (dueAt === null || still?.machine.value !== state.machine.value || still.machine.control.dueAt !== dueAt)
        return;
      stages.wakeAt(taskId, dueAt);
    });
  }

  #answerAll(actor: Actor, error: EngineError): void {
    for (let item = actor.mailbox.take(); item !== undefined; item = actor.mailbox.take()) {
      if (item.kind === 'command') this.#waitingCommands -= 1;
      if (item.respond !== null) this.#reject(error, item.respond);
    }
  }

  /** Takes the actor's messages, one at a time, as far as they can be decided now. */
  #process(actor: Actor): void {
    while (actor.phase === 'ready' && !this.#closed) {
      if (this.#deps.commit.uncommittedRecords >= this.#deps.config.maxPendingRecords) {
        if (actor.mailbox.size > 0) this.#heldBack.add(actor);
        return;
      }
      const item = actor.mailbox.take();
      if (item === undefined) break;
      if (item.kind === 'command') this.#waitingCommands -= 1;
      this.#handle(actor, item);
    }
    this.#forgetIfDone(actor);
  }

  #handle(actor: Actor, item: MailboxItem): void {
    if (item.kind === 'message') return this.#decide(actor, item.message, item.respond);
    const { command, respond } = item;
    switch (command.type) {
      case 'task.get':
      case 'task.result':
        return this.#answerQuery(actor, command, respond);
      case 'task.submit': {
        if (actor.state !== null) {
          // A known task: no need to validate what is only compared.
          const reply = compareSubmit(actor.state, {
            pipeline: command.pipeline,
            inputHash: contentHash(command.input),
          });
          return this.#answerWhenCommitted(actor, reply, respond);
        }
        return void this.#prepare(actor, prepareSubmit(command, this.#preparation()), respond);
      }
      case 'task.resolve': {
        if (actor.state === null) return this.#reject(taskNotFound(actor.taskId), respond);
        if (!needsPreparation(command, actor.state)) return this.#decide(actor, unprepared(command), respond);
        return void this.#prepare(actor, prepareResolve(command, actor.state, this.#preparation()), respond);
      }
      default:
        return this.#decide(actor, command, respond);
    }
  }

  #preparation(): { readonly registry: PipelineRegistry; readonly payloads: StageRunnerDeps['payloads'] } {
    return { registry: this.#deps.registry, payloads: this.#deps.payloads };
  }

  /** Between the idempotency check and the record no other message of the actor is handled: its mailbox waits. */
  async #prepare(actor: Actor, prepared: Promise<ActorMessage>, respond: Respond): Promise<void> {
    actor.phase = 'preparing';
    this.#unanswered.add(respond);
    let message: ActorMessage | EngineError;
    try {
      message = await prepared;
    } catch (thrown) {
      message = toEngineError(thrown);
    }
    actor.phase = 'ready';
    if (!this.#unanswered.delete(respond)) return; // The shard was closed meanwhile, and the caller told so.
    if (message instanceof EngineError) this.#reject(message, respond);
    else this.#decide(actor, message, respond);
    this.#process(actor);
  }

  #decide(actor: Actor, message: ActorMessage, respond: Respond | null): void {
    let decision: Decision;
    const definition = message.type === 'task.submit' ? message.definition : this.#definitionFor(actor);
    if (definition === null) {
      if (respond !== null) this.#reject(taskNotFound(actor.taskId), respond);
      else this.#dropStraggler(actor.taskId, null, message, 'there is no such task');
      return;
    }
    if (message.type === 'slot.granted' && this.#deps.stages.isDraining) {
      this.#dropStraggler(actor.taskId, definition, message, 'the shard starts nothing any more');
      return;
    }
    try {
      decision = decide(actor.state, message, {
        taskId: actor.taskId,
        now: this.#deps.clock.now(),
        epoch: this.#owner.epoch,
        definition,
        mayStart: (spec) => this.#deps.stages.mayStart(definition, spec, message.type === 'stage.settled'),
        config: this.#deps.config,
      });
      if (decision.kind === 'moved') this.#commitDecision(actor, decision, definition, message, respond);
    } catch (thrown) {
      this.#restartActor(actor, message, respond, asError(thrown));
      return;
    }
    if (decision.kind === 'straggler') this.#dropStraggler(actor.taskId, definition, message, decision.reason);
    if (decision.kind === 'answered' && respond !== null) this.#answerWhenCommitted(actor, decision.reply, respond);
  }

  #commitDecision(
    actor: Actor,
    decision: Extract<Decision, { kind: 'moved' }>,
    definition: PipelineDefinition,
    message: ActorMessage,
    respond: Respond | null,
  ): void {
    const { state, record, reply } = decision;
    this.#deps.commit.add(record, (sequence) => {
      this.#liveCounts.moved(actor.committed, state);
      actor.committed = state;
      actor.uncommitted -= 1;
      this.#deps.onChanged(state, sequence);
      countRecord(this.#deps.metrics, record, state);
      if (record.event.type === 'stage.checkpointed') {
        this.#deps.stages.checkpointSettled(actor.taskId, record.event.name, true);
      }
      if (positionOf(state.machine.value).status !== 'unknown') this.#deps.stages.endLookup(actor.taskId);
      for (const effect of decision.effects) this.#deps.stages.run(effect, state, definition, sequence);
      if (reply !== null && respond !== null && this.#unanswered.delete(respond)) respond(reply);
      if (endedStatuses.includes(positionOf(state.machine.value).status)) {
        this.#deps.waiters.settle(actor.taskId, (brief) => this.#ended(state, brief));
      }
      this.#forgetIfDone(actor);
      this.#resumeHeldBack();
    });
    if (respond !== null) this.#unanswered.add(respond);
    actor.state = state;
    actor.uncommitted += 1;
    // A granted slot was taken by the slot queue already; every other start takes it now, before anyone else is asked.
    const start = decision.effects.find((effect) => effect.type === 'stage.start');
    if (start !== undefined && message.type !== 'slot.granted') this.#deps.stages.takeSlot(definition, start.stage);
  }

  #dropStraggler(taskId: TaskId, definition: PipelineDefinition | null, message: ActorMessage, reason: string): void {
    this.#deps.metrics.stragglers.add(1, { type: message.type });
    this.#deps.logger.debug(
      { taskId, shard: this.#owner.shard, type: message.type, reason },
      'a straggler was dropped',
    );
    if (message.type === 'checkpoint.reached') this.#deps.stages.checkpointSettled(taskId, message.name, false);
    if (message.type === 'slot.granted' && definition !== null)
      this.#deps.stages.returnSlot(taskId, definition, message.stage);
  }

  /**
   * The actor's supervisor: one-for-one. A crash is a bug of ours or of a guard; the actor is rebuilt from its snapshot form at the
   * same record, and an outcome is handled again, for to drop it would leave the task waiting for ever. Past its restart
   * intensity the task is quarantined with the message in hand. Its siblings never notice.
   */
  #restartActor(actor: Actor, message: ActorMessage, respond: Respond | null, error: Error): void {
    const { config, clock, logger, metrics } = this.#deps;
    const limit = { intensity: config.actorRestartIntensity, periodMs: config.actorRestartPeriodMs };
    const { crashesMs, mayRestart } = noteCrash(limit, actor.crashesMs, clock.monotonicMs());
    actor.crashesMs = crashesMs;
    metrics.actorRestarts.add();
    logger.error(
      { taskId: actor.taskId, shard: this.#owner.shard, type: message.type, crashes: crashesMs.length, err: error },
      'an actor crashed',
    );
    if (respond !== null) {
      this.#reject(
        new EngineError('INTERNAL', `task ${actor.taskId}: ${message.type} crashed its actor`, { cause: error }),
        respond,
      );
    }
    if (actor.state === null) return;
    if (message.type === 'actor.quarantine') return; // Even that crashed: the task stays as it is, and each crash is logged.
    actor.state = decodeSnapshot(actor.taskId, encodeSnapshot(actor.state), this.#deps.registry);
    if (!mayRestart) {
      const failure = {
        ...failureOf(error, 'poison', 'POISON'),
        message: `${message.type} crashed the actor: ${error.message}`,
      };
      this.#decide(actor, { type: 'actor.quarantine', failure }, null);
      if (message.type === 'slot.granted') {
        this.#deps.stages.returnSlot(actor.taskId, this.#definitionOf(actor.state), message.stage);
      }
    } else if (respond === null) {
      this.#decide(actor, message, null);
    }
  }

  #answerQuery(actor: Actor, query: QueryCommand, respond: Respond): void {
    const { committed } = actor;
    if (committed === null) {
      if (actor.state === null) return this.#reject(taskNotFound(actor.taskId), respond);
      // Decided but not committed yet: the answer waits, then it is asked again.
      this.#unanswered.add(respond);
      return this.#deps.commit.afterPending(() => {
        if (this.#unanswered.delete(respond)) this.#answerQuery(actor, query, respond);
      });
    }
    if (query.type === 'task.get') {
      const task = this.view(committed, query.includePayloads === true ? 'all' : 'none');
      const outlook = outlookOf(committed, this.#definitionOf(committed), this.#deps.stages);
      return respond({ kind: 'task', task: { ...task, outlook } });
    }
    if (endedStatuses.includes(positionOf(committed.machine.value).status)) {
      return respond(this.#ended(committed, query.brief === true));
    }
    const waitMs = Math.min(query.waitMs, this.#deps.config.maxResultWaitMs);
    const pending = (): Reply => ({
      kind: 'pending',
      taskId: actor.taskId,
      state: this.#actors.get(actor.taskId)?.committed?.machine.value ?? committed.machine.value,
    });
    this.#deps.waiters.wait(actor.taskId, waitMs, pending, { brief: query.brief === true, respond });
  }

  #ended(state: TaskState, brief: boolean): Reply {
    const { taskId, pipeline } = state;
    if (!brief || positionOf(state.machine.value).status !== 'completed') {
      return { kind: 'ended', task: this.view(state, 'outputs') };
    }
    return { kind: 'completed', taskId, pipeline, outputs: outputsOf(state) };
  }

  /** A submit that waits: what is known once it is accepted is the answer to a question of its own. */
  #respondWhenEnded(actor: Actor, { taskId, waitMs = 0 }: SubmitCommand, respond: Respond): Respond {
    return (reply) => {
      if (reply.kind !== 'accepted' && reply.kind !== 'existing') return respond(reply);
      this.#answerQuery(actor, { type: 'task.result', taskId, waitMs, brief: true }, respond);
    };
  }

  /** An answer that was read off uncommitted state goes out when that is committed. */
  #answerWhenCommitted(actor: Actor, reply: Reply, respond: Respond): void {
    if (reply.kind === 'error') this.#deps.metrics.rejections.add(1, { code: reply.error.code });
    if (reply.kind === 'done' && reply.repeated) this.#deps.metrics.repeatedCommands.add();
    if (actor.uncommitted === 0) return respond(reply);
    this.#unanswered.add(respond);
    this.#deps.commit.afterPending(() => {
      if (this.#unanswered.delete(respond)) respond(reply);
    });
  }

  #reject(error: EngineError, respond: Respond): void {
    this.#deps.metrics.rejections.add(1, { code: error.code });
    respond({ kind: 'error', error: error.toReport() });
  }

  /** Forgets an actor that has nothing more to do: a task that ended, or one that never was. */
  #forgetIfDone(actor: Actor): void {
    if (!actor.isIdle || this.#actors.get(actor.taskId) !== actor) return;
    if (actor.state === null || isFinished(actor.state)) this.#actors.delete(actor.taskId);
  }

  #resumeHeldBack(): void {
    if (this.#heldBack.size === 0) return;
    if (this.#deps.commit.uncommittedRecords >= this.#deps.config.maxPendingRecords) return;
    for (const actor of this.#heldBack) {
      this.#heldBack.delete(actor);
      this.#process(actor);
      if (this.#deps.commit.uncommittedRecords >= this.#deps.config.maxPendingRecords) return;
    }
  }

  #runEffects(before: TaskState | null, state: TaskState, definition: PipelineDefinition, sequence: Sequence): void {
    const { stage } = positionOf(state.machine.value);
    const hasLookup = stage !== null && isAsked(state, definition.stage(stage), this.#deps.config);
    for (const effect of effectsBetween(before, state, hasLookup))
      this.#deps.stages.run(effect, state, definition, sequence);
  }

  #definitionFor(actor: Actor): PipelineDefinition | null {
    return actor.state === null ? null : this.#definitionOf(actor.state);
  }

  #definitionOf(state: TaskState): PipelineDefinition {
    return this.#deps.registry.find(state.pipeline, state.version);
  }
}

/** What was thrown, as an error with a code: an unknown one is a bug of ours. */
export function toEngineError(thrown: unknown): EngineError {
  if (thrown instanceof EngineError) return thrown;
  const error = asError(thrown);
  return new EngineError('INTERNAL', error.message, { cause: error });
}
