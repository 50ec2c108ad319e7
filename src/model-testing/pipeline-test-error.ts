import type { PathStep } from './path-step.ts';

/** What a case of `testPipeline` fails with: where on which path, under which fault, and what was expected. */
export class PipelineTestError extends Error {
  /** The path's name. */
  readonly path: string;
  readonly fault: string;
  /** Everything that is wrong, one a line. */
  readonly problems: readonly string[];

  constructor(story: PathStory) {
    super(tell(story));
    this.name = 'PipelineTestError';
    this.path = story.path;
    this.fault = story.fault;
    this.problems = story.problems;
  }
}

/** What a {@link PipelineTestError} is told by. */
export interface PathStory {
  readonly pipeline: string;
  readonly path: string;
  readonly fault: string;
  /** The step that the fault is put at; null: none. */
  readonly faultStep: number | null;
  readonly steps: readonly PathStep[];
  /** Steps that have happened: the next one is where it broke. */
  readonly taken: number;
  readonly problems: readonly string[];
  /** Every record that the journal has of the task, as `type → state`. */
  readonly journal: readonly string[];
}

function tell(story: PathStory): string {
  const { pipeline, path, fault, faultStep, steps, taken, problems, journal } = story;
  const at = faultStep === null ? '' : ` at step ${faultStep + 1}`;
  return [
    `${pipeline}, path "${path}", fault "${fault}"${at}:`,
    ...problems.map((problem) => `  ${problem}`),
    'the path:',
    ...steps.map(
      ({ from, event, to }, index) => `${index === taken ? '►' : ' '} ${index + 1} ${from} ──${event.type}──► ${to}`,
    ),
    'the journal:',
    ...journal.map((line) => `  ${line}`),
  ].join('\n');
}
