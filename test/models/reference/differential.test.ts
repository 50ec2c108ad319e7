import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { CommandId } from '../../../src/core/ids.ts';
import type { Reply } from '../../../src/core/replies.ts';
import type { TaskView } from '../../../src/core/task-view.ts';
import { FatalError, RetryableError } from '../../../src/index.ts';
import type { Engine } from '../../../src/supervisor/engine.ts';
import { HeldDrivers } from '../../support/held-drivers.ts';
import { taskOf } from '../../support/shard-kit.ts';
import { ShardWorld, type Sent } from '../../support/shard-world.ts';
import {
  legalControls,
  ReferenceEngine,
  stages,
  stateOf,
  type ControlName,
  type ReferenceTask,
} from './reference-engine.ts';
import { referencePipeline } from './reference-pipeline.ts';

const runs = Number(process.env['MODEL_RUNS'] ?? 60);
/** Rounds of so many runs in which every command must have met every place. */
const maximumRounds = 10;
const commandsPerRun = 200;
const slots = ['x', 'y', 'z'] as const;

const controlNames: readonly ControlName[] = [
  'pause',
  'resume',
  'cancel',
  'redrive',
  'resolveDone',
  'resolveNotDone',
  'resolveFailed',
];
const driverEnds = ['finish', 'failRetryable', 'failFatal'] as const;
const elsewhere = ['pass', 'lose', 'handOver'] as const;
const kinds = [...controlNames, ...driverEnds, ...elsewhere, 'submitSame', 'submitOther', 'repeat', 'reuse'] as const;
type Kind = (typeof kinds)[number];
/** Where a task may be when a command comes; `none`: nobody has submitted it. */
const places = [
  'none',
  'queued',
  'running',
  'backingOff',
  'held',
  'unknown',
  'completed',
  'canceled',
  'deadLettered',
] as const;
type Place = (typeof places)[number];
/** What is to be done where a task stands, most of the time: chance alone seldom comes far. */
const forwards: Readonly<Record<Place, readonly Kind[]>> = {
  none: ['submitSame'],
  queued: ['pass', 'pause', 'cancel', 'lose'],
  running: [
    'finish',
    'finish',
    'finish',
    'finish',
    'finish',
    'failRetryable',
    'failRetryable',
    'failFatal',
    'pause',
    'lose',
  ],
  backingOff: ['pass', 'pass', 'pause', 'cancel'],
  held: ['resume', 'resume', 'cancel', 'pass'],
  unknown: ['resolveDone', 'resolveNotDone', 'resolveFailed', 'redrive', 'cancel'],
  completed: ['submitSame'],
  canceled: ['submitSame'],
  deadLettered: ['redrive', 'redrive', 'lose'],
};

/** Of a task that has the one slot of the last stage, so that others come to stand in line behind it. */
const lastSteps: readonly Kind[] = ['pass', 'pass', 'pass', 'pause', 'failRetryable', 'finish', 'lose', 'handOver'];

interface Choice {
  readonly slot: number;
  readonly isWild: boolean;
  readonly pick: number;
}

/** The engine beside its reference: each command goes to both, and what they say is compared. */
class Pair {
  /** How often each kind of command has met a task in each place. */
  readonly counts = new Map<string, number>();
  readonly #drivers = new HeldDrivers();
  readonly #world: ShardWorld;
  readonly #reference: ReferenceEngine;
  readonly #ids = new Map<string, string>(slots.map((slot) => [slot, `${slot}-1`]));
  readonly #lastCommands = new Map<string, { readonly name: ControlName; readonly commandId: string }>();
  #engine: Engine | null = null;
  #views = new Map<string, TaskView>();
  #serial = 0;
  #dueAtRestart = new Set<string>();

  constructor() {
    this.#world = new ShardWorld({
      pipelines: [referencePipeline((ctx) => this.#drivers.run(ctx))],
      config: {
        dedupWindowSize: 256,
        maxInterruptions: 1_000,
        suspectAfterInterruptions: 1_000,
        maxHandovers: 1_000,
        drainGraceMs: 1_000,
        abortGraceMs: 500,
      },
    });
    this.#reference = new ReferenceEngine((id) => this.#views.get(id)?.status === 'running');
  }

  async start(): Promise<void> {
    this.#engine = this.#world.engine('node-1');
    await this.#world.test.run(this.#engine.start());
  }

  async step({ slot, isWild, pick }: Choice): Promise<void> {
    // Time goes on a little with each command, so that no two things fall due at once.
    await this.#world.test.advance(1);
    if (!this.#reference.isOrdered) await this.#look();
    this.#reference.pass(this.#now);
    const name = slots[slot % slots.length] ?? 'x';
    const id = this.#idAt(name, pick);
    const place = this.#placeOf(id);
    const isLast = place === 'running' && this.#reference.tasks.get(id)?.index === stages.length - 1;
    const options = isWild ? this.#rarest(place, id) : isLast ? lastSteps : forwards[place];
    const kind = options[pick % options.length] as Kind;
    if (!isPossible(kind, place)) return;
    this.#note(kind, place);
    await this.#take(kind, id);
    this.#compare(`${kind} of ${id} in ${place}`);
  }

  async stop(): Promise<void> {
    this.#drivers.finish();
    await this.#world.test.run(this.#engine?.abandon() ?? Promise.resolve());
  }

  get #now(): number {
    return this.#world.clock.now();
  }

  /** The kinds that this place has met least often. */
  #rarest(place: Place, id: string): readonly Kind[] {
    const possible = kinds.filter((kind) => isPossible(kind, place) && (!isRepeat(kind) || this.#lastCommands.has(id)));
    const least = Math.min(...possible.map((kind) => this.counts.get(`${kind}/${place}`) ?? 0));
    return possible.filter((kind) => (this.counts.get(`${kind}/${place}`) ?? 0) === least);
  }

  /** A task that has ended for good makes room for a new one now and then. */
  #idAt(slot: string, pick: number): string {
    const id = this.#ids.get(slot) ?? '';
    if (pick % 7 !== 0 || !['completed', 'canceled'].includes(this.#placeOf(id))) return id;
    this.#serial += 1;
    const next = `${slot}-new-${this.#serial}`;
    this.#ids.set(slot, next);
    return next;
  }

  #placeOf(id: string): Place {
    return this.#reference.tasks.get(id)?.status ?? 'none';
  }

  #note(kind: Kind, place: Place): void {
    const isGlobal = (elsewhere as readonly Kind[]).includes(kind);
    const met = isGlobal ? new Set([...this.#ids.values()].map((other) => this.#placeOf(other))) : new Set([place]);
    for (const one of met) this.counts.set(`${kind}/${one}`, (this.counts.get(`${kind}/${one}`) ?? 0) + 1);
  }

  async #take(kind: Kind, id: string): Promise<void> {
    switch (kind) {
      case 'submitSame':
        return this.#submit(id, 'a');
      case 'submitOther':
        return this.#submit(id, this.#reference.tasks.has(id) ? 'b' : 'a');
      case 'finish':
      case 'failRetryable':
      case 'failFatal':
        return this.#endDriver(kind, id);
      case 'pass': {
        await this.#world.test.advance(1_000);
        await this.#look();
        return this.#reference.pass(this.#now);
      }
      case 'lose':
      case 'handOver':
        return this.#restart(kind === 'lose');
      case 'repeat': {
        const last = this.#lastCommands.get(id);
        return last === undefined ? undefined : this.#control(last.name, id, last.commandId);
      }
      case 'reuse': {
        // The id of a command for another one.
        const last = this.#lastCommands.get(id);
        return last === undefined
          ? undefined
          : this.#control(last.name === 'pause' ? 'cancel' : 'pause', id, last.commandId);
      }
      default:
        this.#serial += 1;
        return this.#control(kind, id, `command-${this.#serial}`);
    }
  }

  async #submit(id: string, input: string): Promise<void> {
    const sent = this.#world.submit(id, input);
    await this.#look();
    expect(replyOf(sent)).toBe(this.#reference.submit(id, input));
  }

  async #control(name: ControlName, id: string, commandId: string): Promise<void> {
    const fields = { taskId: taskOf(id), commandId: commandId as CommandId };
    const sent =
      name === 'resolveDone'
        ? this.#world.send({ type: 'task.resolve', ...fields, resolution: { kind: 'completed', output: 'resolved' } })
        : name === 'resolveNotDone'
          ? this.#world.send({ type: 'task.resolve', ...fields, resolution: { kind: 'notDone' } })
          : name === 'resolveFailed'
            ? this.#world.send({ type: 'task.resolve', ...fields, resolution: { kind: 'failed', message: 'no' } })
            : this.#world.send({ type: `task.${name}`, ...fields });
    await this.#look();
    const expected = this.#reference.control(name, id, commandId, this.#now);
    expect(replyOf(sent), `${name} of ${id}`).toBe(expected);
    if (expected.startsWith('done')) this.#lastCommands.set(id, { name, commandId });
  }

  async #endDriver(kind: (typeof driverEnds)[number], id: string): Promise<void> {
    const task = this.#reference.tasks.get(id) as ReferenceTask;
    const label = `${id}/${stages[task.index]?.name}/${task.attempt}`;
    expect(this.#drivers.running).toContain(label);
    if (kind === 'finish') this.#drivers.finish(label);
    else this.#drivers.fail(label, kind === 'failFatal' ? new FatalError('no') : new RetryableError('not now'));
    await this.#look();
    if (kind === 'finish') this.#reference.finish(id, `done ${label}`);
    else this.#reference.fail(id, kind === 'failRetryable', this.#now);
  }

  async #restart(isLoss: boolean): Promise<void> {
    const { test } = this.#world;
    const engine = this.#engine as Engine;
    const running = new Set(this.#drivers.running);
    await test.run(isLoss ? engine.abandon() : engine.stop({ graceMs: 1_000 }));
    for (const label of this.#drivers.running) if (running.has(label)) this.#drivers.fail(label, new Error('gone'));
    const limited = stages.findIndex(({ limit }) => limit !== Infinity);
    for (const [id, { status, index, dueAt }] of this.#reference.tasks) {
      if (status === 'backingOff' && index === limited && (dueAt ?? 0) <= this.#now) this.#dueAtRestart.add(id);
    }
    await this.start();
    await this.#look();
    this.#reference.restart(isLoss, this.#now);
  }

  /** What the engine says of every task, when all is quiet. */
  async #look(): Promise<void> {
    await this.#world.test.advance(0);
    const asked = [...new Set([...this.#reference.tasks.keys(), ...this.#ids.values()])].map(
      (id) => [id, this.#world.send({ type: 'task.get', taskId: taskOf(id), includePayloads: true })] as const,
    );
    await this.#world.test.advance(0);
    this.#views = new Map(
      asked.flatMap(([id, { replies }]) => (replies[0]?.kind === 'task' ? [[id, replies[0].task] as const] : [])),
    );
  }

  #compare(what: string): void {
    for (const id of this.#dueAtRestart) {
      // Whether it stood in line before its backoff was over is the engine's own: one record more or less.
      const task = this.#reference.tasks.get(id);
      if (task !== undefined) task.records = this.#views.get(id)?.seq ?? 0;
    }
    this.#dueAtRestart.clear();
    const shown = Object.fromEntries([...this.#views].map(([id, view]) => [id, fromEngine(view)]));
    const meant = Object.fromEntries([...this.#reference.tasks].map(([id, task]) => [id, fromReference(task)]));
    expect(shown, what).toEqual(meant);
    const drivers = [...this.#reference.tasks].flatMap(([id, { status, index, attempt }]) =>
      status === 'running' ? [`${id}/${stages[index]?.name}/${attempt}`] : [],
    );
    expect([...this.#drivers.running].toSorted(), what).toEqual(drivers.toSorted());
  }
}

/** A driver ends where one runs, and a command is repeated where one was taken. */
function isPossible(kind: Kind, place: Place): boolean {
  if ((driverEnds as readonly Kind[]).includes(kind)) return place === 'running';
  return place !== 'none' || !isRepeat(kind);
}

function isRepeat(kind: Kind): boolean {
  return kind === 'repeat' || kind === 'reuse';
}

function replyOf({ replies }: Sent): string {
  expect(replies).toHaveLength(1);
  const reply = replies[0] as Reply;
  switch (reply.kind) {
    case 'error':
      return reply.error.code;
    case 'done':
      return `${reply.repeated ? 'repeated' : 'done'} ${reply.state}`;
    case 'accepted':
    case 'existing':
      return `${reply.kind} ${reply.state}`;
    default:
      return reply.kind;
  }
}

function fromEngine(view: TaskView): object {
  return {
    state: view.state,
    attempt: view.attempt,
    dueAt: view.dueAt,
    isPausing: view.pausing,
    records: view.seq,
    failure: view.failure?.class ?? null,
    legal: view.legalCommands,
    stages: view.stages.map(({ stage, status, attempts, interruptions, handovers }) => {
      return { stage, status, attempts, interruptions, handovers };
    }),
    input: view.input,
    outputs: view.outputs,
  };
}

function fromReference(task: ReferenceTask): object {
  const { attempt, dueAt, isPausing, records, failure, input, outputs, status } = task;
  return {
    state: stateOf(task),
    attempt: status === 'completed' || status === 'canceled' ? 0 : attempt,
    dueAt,
    isPausing,
    records,
    failure,
    legal: legalControls(task),
    stages: task.stages.map((stage) => ({ ...stage })),
    input,
    outputs: { ...outputs },
  };
}

const choices = fc.array(
  fc.record({ slot: fc.nat({ max: 2 }), isWild: fc.boolean(), pick: fc.noBias(fc.nat({ max: 10_000 })) }),
  { minLength: commandsPerRun / 2, maxLength: commandsPerRun, size: 'max' },
);

describe('the engine on one node, beside a reference that is a page long', () => {
  it('R-CORE-1 R-IDEM-1 R-RETRY-1: shows the same full state after each command, in every place that a task can be', async () => {
    const counts = new Map<string, number>();
    const expected = kinds.flatMap((kind) =>
      places.filter((place) => isPossible(kind, place)).map((place) => `${kind}/${place}`),
    );
    const seldom = (): readonly string[] => expected.filter((pair) => (counts.get(pair) ?? 0) < Math.max(1, runs / 20));
    let commands = 0;
    let rounds = 0;
    // Until every command has met a task in every place: which does so last is chance, and no reason to be red.
    do {
      rounds += 1;
      await fc.assert(
        fc.asyncProperty(choices, async (run) => {
          const pair = new Pair();
          await pair.start();
          try {
            for (const choice of run) await pair.step(choice);
          } finally {
            await pair.stop();
          }
          commands += run.length;
          for (const [name, count] of pair.counts) counts.set(name, (counts.get(name) ?? 0) + count);
        }),
        { numRuns: runs },
      );
    } while (seldom().length > 0 && rounds < maximumRounds);
    const least = Math.min(...expected.map((pair) => counts.get(pair) ?? 0));
    process.stdout.write(
      `${rounds * runs} runs, ${commands} commands, each of ${expected.length} pairs at least ${least} times\n`,
    );
    expect(seldom(), 'commands that no task met where it stands').toEqual([]);
  }, 600_000);
});
