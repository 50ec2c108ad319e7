import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { post } from '../api/http.ts';
import type { TaskCommandName } from '../api/types.ts';
import { resolveCommandLine, taskCommandLine, type ResolutionText } from '../model/cli-command.ts';
import { parseJsonText } from '../model/schema-form.ts';
import { commandTexts } from '../model/task-words.ts';
import { ask } from '../parts/action-dialog.tsx';

interface Controlled {
  readonly state: string;
  readonly repeated: boolean;
}

/** Opens the dialog of a command to one task. */
export function askTaskCommand(request: {
  readonly command: TaskCommandName;
  /** As the page shows it: a command that sends work back is taken for that state of it alone. */
  readonly task: { readonly taskId: string; readonly seq: number };
  readonly onDone: () => void;
}): void {
  const { command, task, onDone } = request;
  if (command === 'resolve') {
    askResolve(task, onDone);
    return;
  }
  const { label, about } = commandTexts[command];
  const expectedSeq = command === 'redrive' ? task.seq : undefined;
  ask({
    title: `${label} task`,
    verb: label,
    isDangerous: command === 'cancel',
    ...(command === 'cancel' ? { confirmWord: 'cancel' } : {}),
    about: (
      <>
        <p class="wrap">
          <strong>{task.taskId}</strong>
        </p>
        <p>{about}</p>
      </>
    ),
    commandLine: (note) => taskCommandLine(command, task.taskId, { ...note, expectedSeq }),
    run: async ({ reason, commandId }) => {
      const done = await post<Controlled>(`/api/tasks/${task.taskId}/${command}`, {
        commandId,
        ...(expectedSeq === undefined ? {} : { expectedSeq }),
        ...(reason === undefined ? {} : { reason }),
      });
      return `${label}: ${task.taskId} is in ${done.state}${done.repeated ? ', as it was before' : ''}`;
    },
    onDone,
  });
}

const kinds = [
  { kind: 'notDone', label: 'It did not take effect: run the stage again' },
  { kind: 'completed', label: "It took effect, and this is the stage's result" },
  { kind: 'failed', label: 'Give it up as a dead letter' },
] as const;

function askResolve(task: { readonly taskId: string; readonly seq: number }, onDone: () => void): void {
  const { taskId, seq: expectedSeq } = task;
  const kind = signal<ResolutionText['kind']>('notDone');
  const output = signal('{}');
  const message = signal('');
  const resolution = (): ResolutionText => {
    if (kind.value === 'completed') return { kind: 'completed', output: output.value };
    if (kind.value === 'failed') return { kind: 'failed', message: message.value };
    return { kind: 'notDone' };
  };
  ask({
    title: 'Resolve an unknown outcome',
    verb: 'Resolve',
    about: (
      <>
        <p class="wrap">
          <strong>{taskId}</strong>
        </p>
        <p>{commandTexts.resolve.about}</p>
      </>
    ),
    content: (): JSX.Element => (
      <fieldset>
        <legend>What became of it</legend>
        {kinds.map((option) => (
          <label key={option.kind} class="choice">
            <input
              type="radio"
              name="resolution"
              checked={kind.value === option.kind}
              onChange={() => (kind.value = option.kind)}
            />
            <span>{option.label}</span>
          </label>
        ))}
        {kind.value === 'completed' && (
          <label class="field">
            <span>Output, as JSON</span>
            <textarea
              rows={4}
              value={output.value}
              spellcheck={false}
              aria-invalid={'problem' in parseJsonText(output.value)}
              onInput={(event) => (output.value = event.currentTarget.value)}
            />
          </label>
        )}
        {kind.value === 'failed' && (
          <label class="field">
            <span>Message</span>
            <input
              type="text"
              value={message.value}
              maxLength={1_000}
              onInput={(event) => (message.value = event.currentTarget.value)}
            />
          </label>
        )}
      </fieldset>
    ),
    isReady: () => {
      if (kind.value === 'completed') return 'value' in parseJsonText(output.value);
      return kind.value !== 'failed' || message.value.trim() !== '';
    },
    commandLine: (note) => resolveCommandLine(taskId, resolution(), { ...note, expectedSeq }),
    run: async ({ reason, commandId }) => {
      const parsed = parseJsonText(output.value);
      const body =
        kind.value === 'completed'
          ? { kind: 'completed', output: 'value' in parsed ? parsed.value : null }
          : kind.value === 'failed'
            ? { kind: 'failed', message: message.value.trim() }
            : { kind: 'notDone' };
      const done = await post<Controlled>(`/api/tasks/${taskId}/resolve`, {
        resolution: body,
        commandId,
        expectedSeq,
        ...(reason === undefined ? {} : { reason }),
      });
      return `Resolved: ${taskId} is in ${done.state}`;
    },
    onDone,
  });
}
