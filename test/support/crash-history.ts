import { checkHistory, formatViolation } from '../../src/checking/check-history.ts';
import type { CallEvent, CallKind, CallOutcome } from '../../src/checking/history-events.ts';
import { HistoryRecorder } from '../../src/checking/history-recorder.ts';
import { recordAppends } from '../../src/checking/recording-journal.ts';
import { recordSnapshots } from '../../src/checking/recording-snapshots.ts';
import { EngineError } from '../../src/core/errors.ts';
import { contentHash } from '../../src/core/hash.ts';
import { PipelineRegistry } from '../../src/pipeline/registry.ts';
import type { Journal, JournalEntry } from '../../src/ports/journal.ts';
import type { SnapshotStore } from '../../src/ports/snapshots.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { crashPipelines } from './crash-pipelines.ts';
import type { EffectLedger } from './effect-ledger.ts';

/** What a call was about. */
type CallFields = Pick<CallEvent, 'kind' | 'task' | 'pipeline' | 'commandId' | 'argumentsHash'>;

/** Keeps what happens in a crash world beside its journal, to be judged by every invariant that it has the parts for. */
export class CrashHistory {
  readonly #recorder: HistoryRecorder;
  readonly #clock: Clock;
  readonly #registry = new PipelineRegistry(crashPipelines);
  #calls = 0;

  constructor(options: { readonly clock: Clock; readonly namespace: string; readonly shardCount: number }) {
    const { clock, namespace, shardCount } = options;
    this.#clock = clock;
    this.#recorder = new HistoryRecorder({
      namespace,
      shardCount,
      parts: ['calls', 'effects', 'appends', 'snapshots'],
      bounds: { maxInterruptions: 20, dedupWindowSize: 32 },
    });
  }

  /** A process's journal, its appends recorded as the store has seen them. */
  journal(inner: Journal, node: string, incarnation: () => string): Journal {
    return recordAppends(inner, { recorder: this.#recorder, node, incarnation, now: () => this.#clock.now() });
  }

  /** A process's snapshots, recorded as they were stored. */
  snapshots(inner: SnapshotStore): SnapshotStore {
    return recordSnapshots(inner, { recorder: this.#recorder, now: () => this.#clock.now() }, this.#registry);
  }

  /** A call of a client, recorded with whatever it comes to. */
  async call<Answer>(
    fields: CallFields,
    made: Promise<Answer>,
    outcomeOf: (answer: Answer) => CallOutcome,
  ): Promise<Answer> {
    this.#calls += 1;
    const begun: CallEvent = {
      type: 'call',
      client: 'client',
      call: `call-${this.#calls}`,
      invokedAt: this.#clock.now(),
      answeredAt: null,
      outcome: { kind: 'none' },
      ...fields,
    };
    const slot = this.#recorder.open(begun);
    const end = (outcome: CallOutcome): void => slot.complete({ ...begun, answeredAt: this.#clock.now(), outcome });
    try {
      const answer = await made;
      end(outcomeOf(answer));
      return answer;
    } catch (error) {
      if (error instanceof EngineError) end({ kind: 'error', code: error.code });
      throw error;
    }
  }

  /** Every broken invariant. */
  check(entries: readonly JournalEntry[], ledger: EffectLedger): readonly string[] {
    this.#recordEffects(ledger);
    const history = this.#recorder.finish({ entries, endedAt: this.#clock.now(), isHealed: true });
    const { violations } = checkHistory(history, { definitions: crashPipelines, needs: ['I10', 'I11', 'I12'] });
    return violations.map((violation) => formatViolation(violation));
  }

  #recordEffects(ledger: EffectLedger): void {
    const known = new Set<string>();
    for (const { task, stage, attempt, key, fence } of ledger.reached) {
      const result = known.has(key) ? 'replayed' : 'applied';
      known.add(key);
      const { shard, epoch, sequence } = fence;
      const receipt = ledger.outputOf(key);
      this.#recorder.record({
        type: 'effect',
        task,
        stage,
        attempt,
        key,
        fence: { shard, epoch, sequence },
        result,
        ...(receipt === undefined ? {} : { receipt }),
        honorsKeys: true,
        at: this.#clock.now(),
      });
    }
  }
}

/** The fields of a submit. */
export function submitFields(task: string, pipeline: string, input: string): CallFields {
  return { kind: 'submit', task, pipeline, commandId: task, argumentsHash: contentHash(input) };
}

/** The fields of any other call. */
export function callFields(kind: CallKind, task: string, commandId?: string): CallFields {
  return { kind, task, ...(commandId === undefined ? {} : { commandId }) };
}
