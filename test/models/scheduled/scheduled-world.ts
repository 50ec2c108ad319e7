import type * as fc from 'fast-check';

import type { CommandId } from '../../../src/core/ids.ts';
import type { Reply } from '../../../src/core/replies.ts';
import { FatalError, RetryableError } from '../../../src/index.ts';
import type { AppendOutcome, Journal } from '../../../src/ports/journal.ts';
import type { Engine } from '../../../src/supervisor/engine.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { checkJournal } from '../../../src/checking/journal-report.ts';
import { readWholeJournal } from '../../../src/checking/whole-journal.ts';
import { tapJournal, tapSnapshots, type PortTap } from '../../support/port-taps.ts';
import { aPipeline, taskOf } from '../../support/shard-kit.ts';
import { ShardWorld, type Sent } from '../../support/shard-world.ts';
import { brokenRules } from './task-rules.ts';

/** What goes wrong with the next append. */
export type AppendFault = 'lostAck' | 'lostRequest' | 'late' | 'busy';
/** A command that a client may send again, byte by byte. */
export interface SentCommand {
  readonly name: 'submit' | 'pause' | 'resume' | 'cancel' | 'redrive';
  readonly id: string;
  readonly commandId: CommandId;
}

/** Situations that a test which proves something must have been in. */
export interface Situations {
  lostAcks: number;
  lateAppends: number;
  busyAppends: number;
  crashes: number;
  repeated: number;
  existing: number;
  refused: number;
  uncertain: number;
  unknownResolved: number;
  interrupted: number;
  retried: number;
  deadLettered: number;
}

const unknown: AppendOutcome = { kind: 'unknown', code: 'UNAVAILABLE', detail: 'no acknowledgement in time' };

/** One engine with one shard, whose every store call is answered when the scheduler says so. */
export class ScheduledWorld {
  readonly #scheduler: fc.Scheduler;
  readonly #drivers = new HeldDrivers();
  readonly #world: ShardWorld;
  readonly #pipeline = aPipeline({ maxAttempts: 2, delayMs: 500, run: (ctx) => this.#drivers.run(ctx) });
  readonly #sent: { readonly command: SentCommand; readonly sent: Sent }[] = [];
  readonly #faults: AppendFault[] = [];
  readonly #situations: Situations;
  readonly #started = new Map<string, number>();
  #engine: Engine | null = null;
  #serial = 0;
  /** Off while a process starts that is to serve at once. */
  #isScheduled = true;

  constructor(scheduler: fc.Scheduler, situations: Situations) {
    this.#scheduler = scheduler;
    this.#situations = situations;
    const config = { snapshotEveryRecords: 4, snapshotIntervalMs: 400, abortGraceMs: 100 };
    this.#world = new ShardWorld({ pipelines: [this.#pipeline], config });
  }

  get isUp(): boolean {
    return this.#engine !== null;
  }

  /** Starts a process, and waits until it serves. */
  async start(): Promise<void> {
    this.#isScheduled = false;
    await this.#world.test.run(this.restore());
    this.#isScheduled = true;
  }

  /** Starts a process; it serves when the scheduler has let its calls through. */
  restore(): Promise<void> {
    const { test } = this.#world;
    const scheduled: PortTap = async (call, make) => {
      await this.#turn(call);
      return make();
    };
    const journal: Journal = { ...tapJournal(test.journal, scheduled), append: (request) => this.#append(request) };
    const engine = this.#world.engine('node-1', { journal, snapshots: tapSnapshots(test.snapshots, scheduled) });
    this.#engine = engine;
    return engine.start().catch(() => {
      // It was killed while it started.
    });
  }

  async #turn(what: string): Promise<void> {
    if (this.#isScheduled) await this.#scheduler.schedule(Promise.resolve(), what);
  }

  crash(): void {
    this.#situations.crashes += 1;
    const engine = this.#engine;
    this.#engine = null;
    void engine?.abandon();
  }

  fault(fault: AppendFault): void {
    this.#faults.push(fault);
  }

  submit(id: string): void {
    this.#send({ name: 'submit', id, commandId: `submit-${id}` as CommandId });
  }

  control(name: Exclude<SentCommand['name'], 'submit'>, id: string): void {
    this.#serial += 1;
    this.#send({ name, id, commandId: `${name}-${this.#serial}` as CommandId });
  }

  /** Sends one of the last commands once more. */
  duplicate(pick: number): void {
    const earlier = this.#sent.at(-1 - (pick % Math.min(3, Math.max(1, this.#sent.length))));
    if (earlier !== undefined) this.#send(earlier.command);
  }

  endDriver(pick: number, end: 'finish' | 'retryable' | 'fatal'): void {
    const label = this.#drivers.running[pick % Math.max(1, this.#drivers.running.length)];
    if (label === undefined) return;
    if (end === 'finish') this.#drivers.finish(label);
    else this.#drivers.fail(label, end === 'fatal' ? new FatalError('no') : new RetryableError('not now'));
  }

  async tick(ms: number): Promise<void> {
    await this.#world.test.advance(ms);
  }

  /** Nothing goes wrong any more: until all that can go on by itself has ended. */
  async settle(): Promise<void> {
    this.#faults.length = 0;
    if (!this.isUp) void this.restore();
    for (let round = 0; round < 200; round += 1) {
      await this.#scheduler.waitIdle();
      await this.#world.test.advance(200);
      if (this.#drivers.running.length > 0) this.#drivers.finish();
      else if (this.#scheduler.count() === 0 && round > 30 && this.#sent.every(({ sent }) => sent.replies.length > 0))
        return;
    }
    throw new Error('the engine does not come to rest');
  }

  /** Every broken promise, now that all is quiet. */
  async violations(): Promise<string[]> {
    this.#isScheduled = false;
    const { test } = this.#world;
    const reading = readWholeJournal(test.journal, 1);
    await test.advance(1);
    const report = checkJournal(await reading, [this.#pipeline]);
    const found = [...report.violations, ...brokenRules(report.records)];
    const starts = new Set(report.starts.map(({ task, stage, attempt }) => `${task}/${stage}/${attempt}`));
    for (const label of this.#drivers.started) {
      this.#started.set(label, (this.#started.get(label) ?? 0) + 1);
      if (!starts.has(label)) found.push(`${label} was started, and no record tells of it`);
    }
    for (const [label, count] of this.#started) if (count > 1) found.push(`${label} was started ${count} times`);
    for (const { command, sent } of this.#sent) found.push(...this.#replyViolations(command, sent, report.records));
    for (const [task, state] of report.tasks) {
      const asked = this.#world.get(task);
      await test.advance(1);
      const [reply] = asked.replies;
      const shown = reply?.kind === 'task' ? `${reply.task.state} after ${reply.task.seq}` : JSON.stringify(reply);
      const stored = `${state.machine.value} after ${state.seq}`;
      if (shown !== stored) found.push(`${task} is ${shown}, and in the journal ${stored}`);
      const { value } = state.machine;
      if (/queued|running|backingOff/.test(value)) found.push(`${task} stays in ${value}`);
      if (value.startsWith('deadLettered')) this.#situations.deadLettered += 1;
    }
    for (const { event } of report.records) {
      if (event.type === 'owner.changed') this.#situations.interrupted += 1;
      if (event.type === 'retry.due') this.#situations.retried += 1;
    }
    this.#situations.unknownResolved += test.metrics.value('appends_unknown_resolved_total');
    return found;
  }

  async stop(): Promise<void> {
    void this.#engine?.abandon();
    await this.#scheduler.waitIdle();
    await this.#world.test.advance(1);
  }

  /** A command is answered once at most; what an answer tells is in the journal, and what it refuses is not. */
  #replyViolations(
    { id, commandId, name }: SentCommand,
    { replies }: Sent,
    records: Awaited<ReturnType<typeof checkJournal>>['records'],
  ): string[] {
    if (replies.length > 1) return [`${commandId} is answered ${replies.length} times`];
    const [reply] = replies as readonly Reply[];
    const record = records.find(
      ({ task, event }) => task === id && 'origin' in event && event.origin?.commandId === commandId,
    );
    switch (reply?.kind) {
      case 'accepted':
        return record === undefined ? [`${id} is accepted, and not in the journal`] : [];
      case 'existing':
        this.#situations.existing += 1;
        return record === undefined ? [`${id} exists, and is not in the journal`] : [];
      case 'done':
        if (reply.repeated) this.#situations.repeated += 1;
        if (record === undefined) return [`${commandId} is done, and not in the journal`];
        return record.to === reply.state ? [] : [`${commandId} led to ${record.to}, and was told ${reply.state}`];
      case 'error':
        if (reply.error.code === 'OWNERSHIP_LOST') this.#situations.uncertain += 1;
        else this.#situations.refused += 1;
        // A repeat may have done what its first try was refused.
        if (reply.error.code === 'INTERNAL') return [`${commandId}: ${reply.error.message}`];
        return [];
      default:
        return reply === undefined
          ? [`${name} ${commandId} has no answer`]
          : [`${commandId} is answered ${reply.kind}`];
    }
  }

  #send(command: SentCommand): void {
    const { name, id, commandId } = command;
    try {
      const sent =
        name === 'submit'
          ? this.#world.send({ type: 'task.submit', taskId: taskOf(id), commandId, pipeline: 'card', input: id })
          : this.#world.control(name, id, commandId);
      this.#sent.push({ command, sent });
    } catch {
      // Nobody serves the shard: the client would have to ask again.
    }
  }

  async #append(request: Parameters<Journal['append']>[0]): Promise<AppendOutcome> {
    const inner = this.#world.test.journal;
    await this.#turn(`append ${request.messageId} arrives`);
    const fault = this.#faults.shift();
    switch (fault) {
      case 'busy':
        this.#situations.busyAppends += 1;
        return { kind: 'busy' };
      case 'lostRequest':
        return unknown;
      case 'late':
        this.#situations.lateAppends += 1;
        void this.#scheduler
          .schedule(Promise.resolve(), `append ${request.messageId} lands late`)
          .then(() => inner.append(request));
        return unknown;
      case 'lostAck':
      case undefined: {
        const outcome = await inner.append(request);
        await this.#turn(`append ${request.messageId} is answered`);
        if (fault === undefined) return outcome;
        this.#situations.lostAcks += 1;
        return unknown;
      }
      default:
        return fault satisfies never;
    }
  }
}
