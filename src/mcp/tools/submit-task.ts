import { pipelineField, reasonField, taskIdField, versionField } from '../../admin/schemas/fields.ts';
import { anyJson, flag, nullable, object, oneOf, optional, text } from '../../admin/schema.ts';
import { EngineError } from '../../core/errors.ts';
import { parseTaskId } from '../../core/ids.ts';
import { chooseTaskId } from '../../core/task-id.ts';
import { choosePipeline } from '../../pipeline/choose-pipeline.ts';
import { validateWith } from '../../pipeline/validate.ts';
import { tool, type Tool } from '../tool.ts';

/** Creates a task. */
export const submitTask: Tool = tool({
  name: 'submit_task',
  title: 'Submit a task',
  description:
    'Creates a task of a pipeline; it is durable when the answer is there. Give a taskId or an idempotencyKey: the same one with the same input is one task, however often it is sent. Without either, the answer names the new task.',
  effect: { kind: 'write', isDestructive: false, isIdempotent: false },
  input: {
    pipeline: pipelineField,
    version: optional(versionField),
    input: anyJson("the pipeline's input"),
    taskId: optional(taskIdField),
    idempotencyKey: optional(text({ most: 1_024, about: "the caller's name for the intention" })),
    reason: reasonField,
    dryRun: optional(flag('only check; false when left out')),
  },
  answer: object({
    dryRun: flag('nothing was created'),
    taskId: taskIdField,
    pipeline: pipelineField,
    version: nullable(versionField),
    kind: oneOf(['accepted', 'existing', 'wouldSubmit']),
    state: nullable(text({ most: 200 })),
    inputIsChecked: flag("of a dry run: whether the pipeline's schema is at hand, and took the input"),
  }),
  run: async (args, { engine, audit, definitions, random, by, deadlineMs, signal }) => {
    const { pipeline, version, input, taskId, idempotencyKey, reason, dryRun = false } = args;
    const { client } = engine;
    if (!dryRun) {
      const options = { version, taskId, idempotencyKey, reason, by, deadlineMs, signal };
      const submitted = await audit.record(
        { action: 'task.submit', target: taskId ?? null, by, reason, parameters: { pipeline } },
        () => client.submit(pipeline as string, input, options),
        (done) => ({ taskId: done.taskId, kind: done.kind }),
      );
      return { dryRun, pipeline, version: version ?? null, ...submitted, inputIsChecked: true };
    }
    const { pipelines } = await client.info({ deadlineMs });
    const chosen = choosePipeline(pipelines, pipeline, version);
    const definition = definitions.find((one) => one.name === chosen.name && one.version === chosen.version);
    if (definition !== undefined) {
      const validation = await validateWith(definition.input, input);
      if (!validation.ok) {
        const issues = validation.issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
        throw new EngineError('INPUT_INVALID', `the input of ${pipeline} is not right: ${issues}`, { field: 'input' });
      }
    }
    const named = chooseTaskId(pipeline, { taskId, idempotencyKey }, () => random.id());
    return {
      dryRun,
      taskId: parseTaskId(named.taskId),
      pipeline,
      version: chosen.version,
      kind: 'wouldSubmit' as const,
      state: null,
      inputIsChecked: definition !== undefined,
    };
  },
});
