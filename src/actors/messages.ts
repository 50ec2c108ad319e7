import type { CommandFields, ControlCommand, ControlFields, Outcome } from '../core/messages.ts';
import type { Completion, Continuation, Payload } from '../core/records.ts';
import type { Failure } from '../core/failures.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';

/** A submit whose input was checked, measured and stored, so that deciding it needs no I/O. */
export interface PreparedSubmit extends CommandFields {
  readonly type: 'task.submit';
  readonly definition: PipelineDefinition;
  readonly input: Payload;
  readonly inputHash: string;
  readonly next: Continuation['next'];
  readonly skipped: Continuation['skipped'];
}

/** A resolve whose output, if it brings one, was checked and stored. */
export interface PreparedResolve extends ControlFields {
  readonly type: 'task.resolve';
  readonly resolution:
    | ({ readonly kind: 'completed' } & Completion)
    | { readonly kind: 'notDone' }
    | { readonly kind: 'failed'; readonly failure: Failure };
}

/** Every message that an actor decides on: commands that change a task, and the outcomes of its own effects. */
export type ActorMessage =
  PreparedSubmit | PreparedResolve | Exclude<ControlCommand, { type: 'task.resolve' }> | Outcome;
