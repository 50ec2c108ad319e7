import { asError, EngineError } from '../core/errors.ts';
import type { StageName } from '../core/ids.ts';
import type { Continuation } from '../core/records.ts';
import type { PipelineDefinition, SkipContext, SkipRule, StageSpec } from './definition.ts';

/** One way on from a stage that the definition declares. */
export interface DeclaredContinuation {
  /** The stage that follows; null ends the task. */
  readonly next: StageName | null;
  /** The stages between that a declared skip passes over, in order. */
  readonly skipped: readonly StageName[];
}

/**
 * All declared ways on from a stage, nearest first: the next stage, and past each run of stages that all have a skip.
 *
 * @param stageIndex - -1 stands for `new`, before the first stage
 */
export function declaredContinuations(stages: readonly StageSpec[], stageIndex: number): DeclaredContinuation[] {
  const ways: DeclaredContinuation[] = [];
  const skipped: StageName[] = [];
  for (const stage of stages.slice(stageIndex + 1)) {
    ways.push({ next: stage.name, skipped: [...skipped] });
    if (stage.skip === null) return ways;
    skipped.push(stage.name);
  }
  ways.push({ next: null, skipped: [...skipped] });
  return ways;
}

/**
 * Which stage follows, by the declared skips alone. Pure, as far as the skips are.
 *
 * @param stageIndex - the stage that is completed; -1 stands for `new`, before the first stage
 * @param context - what the skips look at; asked for only where one stands in the way
 * @throws EngineError `PIPELINE_INVALID` when a skip throws, or answers with anything but true or false
 */
export function continueAfter(
  definition: PipelineDefinition,
  stageIndex: number,
  context: () => SkipContext,
): Pick<Continuation, 'next' | 'skipped'> {
  const skipped: { stage: StageName; reason: string }[] = [];
  for (let index = stageIndex + 1; index < definition.stages.length; index += 1) {
    const stage = definition.stages[index] as StageSpec;
    if (stage.skip === null || !askSkip(stage.name, stage.skip, context())) return { next: stage.name, skipped };
    skipped.push({ stage: stage.name, reason: stage.skip.reason });
  }
  return { next: null, skipped };
}

function askSkip(stage: StageName, skip: SkipRule, ctx: SkipContext): boolean {
  let answer: unknown;
  try {
    answer = skip.when(ctx);
  } catch (thrown) {
    // Not passed on as it is: a stage would be run again, effect and all, for a rule that throws each time.
    throw new EngineError('PIPELINE_INVALID', `stages.${stage}.skip.when threw: ${asError(thrown).message}`, {
      field: `stages.${stage}.skip.when`,
      cause: thrown,
    });
  }
  if (typeof answer === 'boolean') return answer;
  // A promise is truthy: an async `when` would skip every time, and nobody would have decided it.
  throw new EngineError('PIPELINE_INVALID', `stages.${stage}.skip.when must return true or false`, {
    field: `stages.${stage}.skip.when`,
    limit: 'true or false, at once',
    got: answer,
  });
}
