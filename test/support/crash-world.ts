import type { EngineConfig } from '../../src/core/config.ts';
import { RetryableError, FatalError, type StageContext } from '../../src/index.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import type { Engine } from '../../src/supervisor/engine.ts';
import { TestEngine } from '../../src/testing.ts';
import { serveShard, type ShardServiceDeps } from '../../src/transport/shard-service.ts';
import { Mortal, type CrashPoint } from './crash-points.ts';
import { EffectLedger } from './effect-ledger.ts';
import { checkJournal, readWholeJournal, type JournalReport } from './journal-checker.ts';
import { tapJournal, tapLeases, tapSnapshots } from './port-taps.ts';
import { aPipeline } from './shard-kit.ts';
import { metricCatalog } from '../../src/ports/metric-catalog.ts';

/** What the tasks of a {@link CrashWorld} do: their input says it. */
export type Behavior = 'plain' | 'flaky' | 'checkpoints' | 'broken' | 'stuck';

async function drive(ctx: StageContext): Promise<unknown> {
  const { ledger, process } = ctx.ports as { readonly ledger: EffectLedger; readonly process: Mortal };
  const behavior = ctx.input as Behavior;
  if (behavior === 'flaky' && ctx.stage === 'parse' && ctx.attempt === 1) throw new RetryableError('the first try');
  if (behavior === 'stuck' && ledger.isBroken) throw new RetryableError('out of order');
  if (behavior === 'broken' && ctx.stage === 'publish' && ledger.isBroken) throw new FatalError('out of order');
  const effect = (): Promise<string> => process.tap('ledger.apply', () => Promise.resolve(ledger.apply(ctx)));
  if (behavior !== 'checkpoints') return effect();
  const first = await ctx.checkpoint('first', () => process.tap('ledger.sub-step', () => Promise.resolve('sub-step')));
  return `${first} ${await effect()}`;
}

/** An engine that dies at one of its port calls, over stores that outlive it. */
export class CrashWorld {
  readonly test: TestEngine;
  readonly ledger = new EffectLedger();
  readonly pipeline: PipelineDefinition<string>;
  /** The processes so far, each with its engine. */
  readonly processes: { readonly mortal: Mortal; readonly engine: Engine }[] = [];

  constructor(config: Partial<EngineConfig> = {}) {
    this.pipeline = aPipeline({ stages: ['parse', 'publish'], run: drive, delayMs: 5_000, maxAttempts: 4 });
    this.test = TestEngine.create({
      pipelines: [this.pipeline],
      config: { snapshotEveryRecords: 3, snapshotIntervalMs: 200, abortGraceMs: 0, maxInterruptions: 20, ...config },
    });
  }

  /** Starts a process; resolves when it serves or has died. */
  async start(point?: CrashPoint): Promise<Mortal> {
    const { test, ledger } = this;
    const mortal: Mortal = new Mortal(point, () => void engine.abandon());
    const engine: Engine = test.createEngine('node-1', undefined, {
      journal: tapJournal(test.journal, mortal.tap),
      snapshots: tapSnapshots(test.snapshots, mortal.tap),
      leases: tapLeases(test.leases, mortal.tap),
      ports: { ledger, process: mortal },
      serve: (shard, deliver) =>
        serveShard(this.#service(), shard, (command, respond) =>
          deliver(command, (reply) => {
            if (!mortal.isDead) respond(reply);
          }),
        ),
    });
    this.processes.push({ mortal, engine });
    let isStarted = false;
    const started = engine.start().finally(() => {
      isStarted = true;
    });
    started.catch(() => {});
    await test.clock.runUntil(() => isStarted || mortal.isDead);
    return mortal;
  }

  #service(): ShardServiceDeps {
    const { bus, logger, metrics, config } = this.test;
    const unanswerable = metrics.counter(metricCatalog.unanswerableRequests);
    return { bus, namespace: config.namespace, logger, unanswerable, maximumReplyBytes: 1024 * 1024 };
  }

  /** Hands everything over to the next process and ends this one. */
  async stop(): Promise<void> {
    const last = this.processes.at(-1);
    await last?.engine.stop({ graceMs: 1_000 });
    last?.mortal.kill();
  }

  /** Runs virtual time until the promise settles (true), or the process dies first. */
  async until(mortal: Mortal, promise: Promise<unknown>): Promise<boolean> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await this.test.clock.runUntil(() => isSettled || mortal.isDead);
    return isSettled;
  }

  /** What the whole journal says. */
  async report(): Promise<JournalReport> {
    const entries = await this.test.run(readWholeJournal(this.test.journal, this.test.config.shardCount));
    return checkJournal(entries, [this.pipeline]);
  }

  /** Every broken rule of journal and ledger, and every completed output that no effect has given. */
  async violations(): Promise<string[]> {
    const report = await this.report();
    const found = [...report.violations, ...this.ledger.violations()];
    for (const [task, state] of report.tasks) {
      for (const [stage, output] of Object.entries(state.outputs)) {
        const known = this.ledger.outputOf(`cabinet:${task}:${stage}`);
        const text = 'json' in output ? JSON.stringify(output.json) : '';
        if (known === undefined || !text.endsWith(`${known}"`)) found.push(`${task}/${stage}: ${text} is not ${known}`);
      }
    }
    return found;
  }
}
