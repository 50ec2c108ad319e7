import { connectClient, type Client } from '../../src/client.ts';
import { configDefaults } from '../../src/core/config.ts';
import type { FailureClass } from '../../src/core/failures.ts';
import { finishedStatuses, type TaskView } from '../../src/core/task-view.ts';
import { chaosPipeline } from '../kit/chaos-pipeline.ts';
import { ChaosWorld, type ScenarioOptions } from '../kit/chaos-world.ts';
import { corruptions, type CorruptionKind } from '../kit/corruptions.ts';
import { percentile } from '../kit/percentiles.ts';
import { poisonPipeline, poisons, type PoisonKind } from '../kit/poison-pipeline.ts';
import type { Scenario, ScenarioResult } from '../kit/scenario.ts';
import { supervise } from '../kit/supervised.ts';
import type { SupervisorChild } from '../kit/supervisor-child.ts';
import { taskSpans } from '../kit/task-spans.ts';
import { joinParts } from '../kit/verdict.ts';
import { pause, until } from '../kit/wait.ts';

/** How a poison task must end. */
type Expectation =
  | { readonly status: 'completed' }
  | { readonly status: 'deadLettered'; readonly classes: readonly FailureClass[]; readonly code?: string };

const dead = (failureClass: FailureClass, code?: string): Expectation => ({
  status: 'deadLettered',
  classes: [failureClass],
  ...(code === undefined ? {} : { code }),
});
const unexpected = dead('unexpected', 'UNEXPECTED');
const unreadable = dead('unexpected', 'UNREADABLE_ERROR');
const unserializable = dead('contract', 'UNSERIALIZABLE');
const interrupted = dead('interrupted');

const expected: Readonly<Record<PoisonKind, Expectation>> = {
  'throw-sync': unexpected,
  reject: unexpected,
  'throw-undefined': unexpected,
  'throw-string': unexpected,
  'throw-proxy': unexpected,
  'throw-getters': unexpected,
  'throw-error-getters': unreadable,
  recurse: unexpected,
  'change-input': unexpected,
  never: dead('timeout', 'STAGE_TIMEOUT'),
  'thenable-never': dead('timeout', 'STAGE_TIMEOUT'),
  'return-cyclic': dead('contract'),
  'return-bigint': unserializable,
  'return-function': unserializable,
  'return-symbol': unserializable,
  // The schema of its stage lets nothing pass, which JSON writes as null.
  'return-undefined': { status: 'completed' },
  'return-proxy': unexpected,
  'return-getters': unexpected,
  'return-deep': dead('contract'),
  'return-huge': dead('contract', 'PAYLOAD_TOO_LARGE'),
  // On a busy machine its time is over before its checkpoints are.
  checkpoints: { status: 'deadLettered', classes: ['contract', 'timeout'] },
  'checkpoints-at-once': dead('contract', 'INVALID_ARGUMENT'),
  heartbeats: { status: 'completed' },
  exit: interrupted,
  'exit-0': interrupted,
  abort: interrupted,
  'kill-itself': interrupted,
  'stray-throw': interrupted,
  'stray-throw-undefined': interrupted,
  'unhandled-rejection': interrupted,
  'out-of-memory': interrupted,
  // Its process dies during the first attempt, or after the last one has timed out.
  leak: { status: 'deadLettered', classes: ['timeout', 'interrupted'] },
  block: interrupted,
  microtasks: interrupted,
};
const kinds = Object.keys(poisons) as readonly PoisonKind[];
const corruptionKinds = Object.keys(corruptions) as readonly CorruptionKind[];

const shardCount = 16;
const nodes = 3;
/** In a shortened run fewer, and no poison before the last one has ended. */
const innocentsPerPoison = { full: 99, short: 20 } as const;
const load = { tasksPerSecond: 30, maximumInFlight: 600, deadlineMs: 30_000 } as const;
/** The engine's own bound on interruptions: what ends a poison task must not end an innocent one. */
const config = { maxInterruptions: configDefaults.maxInterruptions, abortGraceMs: 1_000 };
/** So many kinds that kill their process, one after the other, are more than the default of 100 crashes in five minutes. */
const supervisor = { hungAfterMs: 3_000, crashIntensity: 1_000 } as const;
/** A driver that takes all memory takes its node's, not the machine's. */
const env = { NODE_OPTIONS: '--max-old-space-size=256' };
const patienceMs = 120_000;
/** How long a process goes on after a driver has corrupted it. */
const corruptedMs = 3_000;
const corruptionPatienceMs = 15_000;

/** Drivers that fail, hang, kill or corrupt their process. */
export const poison: Scenario = {
  rounds: kinds.length,
  summary: 'one task in 100 is poison, a round a kind; then drivers corrupt what their process runs on',
  run: async (options, signal) => {
    const harm = await ChaosWorld.run(options, { servers: 1, shardCount, config }, signal, (world) =>
      poisonTasks(world, options, signal),
    );
    signal.throwIfAborted();
    const corrupt = await ChaosWorld.run(options, { servers: 1, shardCount, config }, signal, (world) =>
      corruptProcesses(world, options, signal),
    );
    return joinParts({ harm, corrupt });
  },
};

async function poisonTasks(world: ChaosWorld, options: ScenarioOptions, signal: AbortSignal): Promise<ScenarioResult> {
  const { running, client } = await begin(world);
  const order = shuffled(world, kinds);
  const given = new Map<string, PoisonKind>();
  const perPoison = options.rounds < kinds.length ? innocentsPerPoison.short : innocentsPerPoison.full;
  for (let round = 1; round <= options.rounds; round += 1) {
    signal.throwIfAborted();
    const innocents = perPoison * round;
    await until(`${innocents} innocent tasks`, async () => (await accepted(world)) >= innocents, patienceMs);
    const kind = order[(round - 1) % order.length] as PoisonKind;
    const taskId = `poison-${round}-${kind}`;
    given.set(taskId, kind);
    world.log.fault('poison', kind, `round ${round}`);
    await submitted(world, client, kind, taskId);
    if (perPoison === innocentsPerPoison.short) await endsOf(client, [taskId], patienceMs);
  }
  const views = await endsOf(client, [...given.keys()], patienceMs);
  const { verdict, facts } = await world.judge();
  const wrong = [...given].flatMap(([taskId, kind]) => mismatch(kind, views.get(taskId)));
  const spans = taskSpans(facts.entries, chaosPipeline.name);
  const violations = [...verdict.violations, ...wrong, ...(running.hasExited ? ['the supervisor has ended'] : [])];
  const ok = violations.length === 0;
  world.keep(ok, facts);
  return {
    ...verdict,
    poison: given.size,
    wrongClass: wrong.length,
    ends: Object.fromEntries([...given].map(([taskId, kind]) => [kind, describe(views.get(taskId))])),
    deaths: running.deaths,
    spanMsP50: percentile(spans, 0.5),
    spanMsP99: percentile(spans, 0.99),
    spanMsMax: percentile(spans, 1),
    violations,
    ok,
  };
}

/** One process after the other is corrupted, goes on for a while, and is killed. Innocents that ran in it may fail. */
async function corruptProcesses(
  world: ChaosWorld,
  options: ScenarioOptions,
  signal: AbortSignal,
): Promise<ScenarioResult> {
  const { running, client } = await begin(world);
  const count = Math.max(1, Math.floor((corruptionKinds.length * options.rounds) / kinds.length));
  const order = shuffled(world, corruptionKinds);
  const ends: Record<string, string> = {};
  for (let round = 1; round <= count; round += 1) {
    signal.throwIfAborted();
    const kind = order[(round - 1) % order.length] as CorruptionKind;
    const taskId = `corrupt-${round}-${kind}`;
    const deathsBefore = running.deaths;
    world.log.fault('corrupt', kind, `round ${round}`);
    await submitted(world, client, kind, taskId);
    await pause(corruptedMs);
    const died = JSON.stringify(running.deaths) === JSON.stringify(deathsBefore) ? 'no process' : 'its process';
    // Nobody can tell from outside which process it was.
    for (const worker of running.workers) {
      await running.kill(worker);
      await until('every node process is ready', () => running.workers.length === nodes, patienceMs);
    }
    const view = (await endsOf(client, [taskId], corruptionPatienceMs)).get(taskId);
    ends[kind] = `${describe(view)}; ${died} died of it`;
    world.log.tell('ended', kind, ends[kind]);
  }
  const { verdict, facts } = await world.judge({ mayFail: true });
  const violations = [...verdict.violations, ...(running.hasExited ? ['the supervisor has ended'] : [])];
  const ok = violations.length === 0;
  world.keep(ok, facts);
  return { ...verdict, innocentsHurt: verdict.tasks - verdict.completed, ends, deaths: running.deaths, violations, ok };
}

async function begin(world: ChaosWorld): Promise<{ readonly running: SupervisorChild; readonly client: Client }> {
  const running = await supervise(world, { baseId: 'n', nodes, supervisor, env });
  await world.start([], load);
  const { servers } = world.settings;
  const client = await connectClient({ servers, namespace: world.namespace, name: 'chaos-poison' });
  world.defer('poison client', () => client.close());
  return { running, client };
}

/** Submits until it is accepted. */
async function submitted(
  { calls }: ChaosWorld,
  client: Client,
  kind: PoisonKind | CorruptionKind,
  taskId: string,
): Promise<void> {
  const deadlineMs = 10_000;
  let failure: unknown;
  const isAccepted = async (): Promise<boolean> => {
    try {
      await calls.note(
        { kind: 'submit', task: taskId, pipeline: poisonPipeline.name, deadlineMs },
        () => client.submit(poisonPipeline, { kind }, { taskId, deadlineMs }),
        (answer) => ({ kind: answer.kind }),
      );
      return true;
    } catch (error) {
      failure = error;
      return false;
    }
  };
  await until(`${taskId} is accepted`, isAccepted, patienceMs).catch((error: unknown) => {
    throw new Error(String(error), { cause: failure });
  });
}

async function accepted(world: ChaosWorld): Promise<number> {
  return (await world.load.counts()).accepted.length;
}

/** How these tasks stand when all have ended, or the time is over. */
async function endsOf(
  client: Client,
  taskIds: readonly string[],
  timeoutMs: number,
): Promise<ReadonlyMap<string, TaskView | null>> {
  const views = new Map<string, TaskView | null>();
  const isOver = async (taskId: string): Promise<boolean> => {
    const view = await client.get(taskId).catch(() => null);
    if (view !== null) views.set(taskId, view);
    return view !== null && (finishedStatuses.includes(view.status) || view.status === 'deadLettered');
  };
  const open = new Set(taskIds);
  await until(
    'every poison task has ended',
    async () => {
      for (const taskId of open) if (await isOver(taskId)) open.delete(taskId);
      return open.size === 0;
    },
    timeoutMs,
  ).catch(() => undefined);
  return views;
}

function mismatch(kind: PoisonKind, view: TaskView | null | undefined): readonly string[] {
  const wanted = expected[kind];
  const isRight =
    view?.status === wanted.status &&
    (wanted.status === 'completed' ||
      (view.failure !== null &&
        wanted.classes.includes(view.failure.class) &&
        (wanted.code === undefined || wanted.code === view.failure.code)));
  if (isRight) return [];
  const should = wanted.status === 'completed' ? 'completed' : `${wanted.classes.join(' or ')} ${wanted.code ?? ''}`;
  return [`poison '${kind}' ended as ${describe(view)}, not as ${should.trimEnd()}`];
}

function describe(view: TaskView | null | undefined): string {
  if (view === undefined || view === null) return 'nothing that is known';
  const { status, failure } = view;
  return failure === null ? status : `${status} ${failure.class} ${failure.code}`;
}

/** In an order of the seed's. */
function shuffled<Item>(world: ChaosWorld, items: readonly Item[]): readonly Item[] {
  return items
    .map((item) => ({ item, place: world.random.next() }))
    .toSorted((left, right) => left.place - right.place)
    .map(({ item }) => item);
}
