import type { Controlled, ControlOptions } from '../../client/client.ts';
import type { OperatorResolution } from '../../core/messages.ts';
import type { RouteDeps } from '../admin-deps.ts';
import { commandIdOf } from '../command-id.ts';
import { route, type Route } from '../route.ts';
import { anyJson, object, text, variantsOf } from '../schema.ts';
import { commandFields, maximumReasonLength, taskIdField } from '../schemas/fields.ts';
import { controlledAnswer } from '../schemas/tasks.ts';

const resolutionField = variantsOf('kind', {
  completed: { output: anyJson("the stage's output") },
  notDone: {},
  failed: { message: text({ most: maximumReasonLength }) },
});

type PlainCommand = 'pause' | 'resume' | 'cancel' | 'redrive';

const summaries: { readonly [Name in PlainCommand]: string } = {
  pause: 'Hold a task before its next start',
  resume: 'Let a held task go on',
  cancel: 'End a task; a running driver is aborted',
  redrive: 'Send a dead letter or an unknown outcome back to work',
};

/** Commands to one task. Each is idempotent by its command id; whether it is legal, the task's machine says. */
export function taskCommandRoutes(deps: RouteDeps): readonly Route[] {
  const { client } = deps;
  const plain = (['pause', 'resume', 'cancel', 'redrive'] as const).map((name) =>
    commandRoute(deps, `/api/tasks/:taskId/${name}`, name, (taskId, options) => client[name](taskId, options)),
  );
  return [
    ...plain,
    commandRoute(deps, '/api/dead-letters/:taskId/redrive', 'redrive', (taskId, options) =>
      client.redrive(taskId, options),
    ),
    route({
      ...shared,
      path: '/api/tasks/:taskId/resolve',
      summary: 'Say what became of a stage whose outcome is unknown',
      body: object({ ...commandFields, resolution: resolutionField }),
      audit: ({ params, body, idempotencyKey }) => ({
        action: 'task.resolve',
        target: params.taskId,
        reason: body.reason,
        commandId: body.commandId ?? idempotencyKey,
      }),
      handler: async (request) => {
        const { params, body, principal, noteChange } = request;
        const commandId = commandIdOf(request, () => deps.random.id());
        const { reason, expectedSeq } = body;
        const options = { commandId, reason, expectedSeq, by: principal.name };
        const done = await client.resolve(params.taskId, body.resolution satisfies OperatorResolution, options);
        noteChange({ after: { state: done.state, repeated: done.repeated, resolution: body.resolution.kind } });
        return { ...done, commandId };
      },
    }),
  ];
}

const shared = {
  method: 'POST',
  role: 'operator',
  tag: 'tasks',
  params: { taskId: taskIdField },
  answer: controlledAnswer,
} as const;

function commandRoute(
  deps: RouteDeps,
  path: string,
  name: PlainCommand,
  send: (taskId: string, options: ControlOptions) => Promise<Controlled>,
): Route {
  return route({
    ...shared,
    path,
    summary: summaries[name],
    body: object(commandFields),
    audit: ({ params, body, idempotencyKey }) => ({
      action: `task.${name}`,
      target: params.taskId,
      reason: body.reason,
      commandId: body.commandId ?? idempotencyKey,
    }),
    handler: async (request) => {
      const { params, body, principal, noteChange } = request;
      const commandId = commandIdOf(request, () => deps.random.id());
      const { reason, expectedSeq } = body;
      const done = await send(params.taskId, { commandId, reason, expectedSeq, by: principal.name });
      noteChange({ after: { state: done.state, repeated: done.repeated } });
      return { ...done, commandId };
    },
  });
}
