import { maximumHandovers, maximumInterruptions, type MachineEvent } from '../../../src/pipeline/guards.ts';
import type { StageControl } from '../../../src/pipeline/control.ts';
import { aControl, an, at, cardPipeline, onTo } from './card-pipeline.ts';

/** When the enumerated events happen. */
export const eventInstant = 2_000;

const stageNames = cardPipeline.stages.map(({ name }) => name as string);

const continuations = [...stageNames, 'stranger', null].flatMap((next) =>
  [[], ['photos'], ['export'], ['photos', 'export'], ['parse']].flatMap((skipped) =>
    [true, false].map((start) => onTo(next, { start, skipped })),
  ),
);

/** Events of every type with every kind of data: right and wrong stages, attempts, ways on, decisions. */
export const allEvents: readonly MachineEvent[] = [
  ...continuations.map((continuation) => an.submit(continuation)),
  ...[...stageNames, 'stranger'].flatMap((stage) =>
    [0, 1, 2, 3].flatMap((attempt) => [
      an.start(stage, attempt),
      an.checkpoint(stage, attempt),
      an.retry(stage, attempt),
      an.giveUp(stage, attempt),
      an.clearance(stage, attempt),
      ...(['rerun', 'lookup', 'park'] as const).map((kind) => an.release(stage, attempt, kind)),
      an.due(stage, attempt, true),
      an.due(stage, attempt, false),
      ...(['notDone', 'unknown', 'failed'] as const).map((kind) => an.resolve(stage, attempt, kind)),
      ...(['rerun', 'lookup', 'park', 'deadLetter'] as const).map((kind) => an.ownerChange(stage, attempt, kind)),
    ]),
  ),
  ...stageNames.flatMap((stage) =>
    [1, 2].flatMap((attempt) =>
      continuations.flatMap((continuation) => [
        an.completion(stage, attempt, continuation),
        an.resolveCompleted(stage, attempt, continuation),
      ]),
    ),
  ),
  an.pause(),
  an.resume(),
  an.cancel(),
  an.redrive(),
  an.quarantine(),
].map((event) => at(eventInstant, event));

/** Controls on both sides of every limit that a guard looks at. */
export const allControls: readonly StageControl[] = [
  aControl(),
  ...[true, false].flatMap((pausing) => [
    aControl({ attempt: 1, pausing }),
    aControl({ attempt: 2, pausing, interruptions: 1 }),
    aControl({ attempt: 2, pausing, attemptBase: 1, dueAt: eventInstant + 1 }),
    aControl({ attempt: 2, pausing, dueAt: eventInstant }),
    aControl({ attempt: 2, pausing, interruptions: 1, clearances: 1 }),
    aControl({ attempt: maximumInterruptions + 1, pausing, interruptions: maximumInterruptions }),
    aControl({ attempt: 2, pausing, handovers: maximumHandovers }),
  ]),
];
