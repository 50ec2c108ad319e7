import type { PipelineDefinition } from '../../src/pipeline/definition.ts';

/** A bug in the middle of our decisions: the definition throws when it is asked for the stage, so often. */
export class Bug {
  readonly stage: string;
  left = 0;
  crashes = 0;

  constructor(stage: string) {
    this.stage = stage;
  }

  in(definition: PipelineDefinition): PipelineDefinition {
    return {
      ...definition,
      stage: (name) => {
        if (name === this.stage && this.left > 0) {
          this.left -= 1;
          this.crashes += 1;
          throw new TypeError('a bug');
        }
        return definition.stage(name);
      },
    };
  }
}
