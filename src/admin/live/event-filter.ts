import type { PipelineName, TaskId } from '../../core/ids.ts';
import type { PipelineEventType } from '../../projections/event-types.ts';
import type { TapedEvent } from './event-tape.ts';

/** The parts of an {@link EventFilter}; all events when a part is left out. */
export interface EventFilterParts {
  readonly pipelines?: readonly PipelineName[] | undefined;
  readonly types?: readonly PipelineEventType[] | undefined;
  readonly taskIds?: readonly TaskId[] | undefined;
}

/** Which events a subscription is told. Filters of one meaning have one key, so that their subscribers share what is encoded. */
export class EventFilter {
  readonly key: string;
  readonly #pipelines: ReadonlySet<string> | null;
  readonly #types: ReadonlySet<string> | null;
  readonly #taskIds: ReadonlySet<string> | null;

  constructor({ pipelines, types, taskIds }: EventFilterParts) {
    this.#pipelines = pipelines === undefined ? null : new Set(pipelines);
    this.#types = types === undefined ? null : new Set(types);
    this.#taskIds = taskIds === undefined ? null : new Set(taskIds);
    this.key = JSON.stringify(
      [this.#pipelines, this.#types, this.#taskIds].map((part) => (part === null ? null : [...part].toSorted())),
    );
  }

  matches({ pipeline, type, taskId }: TapedEvent): boolean {
    return (
      (this.#types === null || this.#types.has(type)) &&
      (this.#pipelines === null || (pipeline !== null && this.#pipelines.has(pipeline))) &&
      (this.#taskIds === null || (taskId !== null && this.#taskIds.has(taskId)))
    );
  }
}
