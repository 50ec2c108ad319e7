import type { TaskId } from '../core/ids.ts';
import type { TaskCommandName } from '../core/task-view.ts';

/** A command that the task takes now, as it is typed. */
export interface TaskMove {
  readonly command: TaskCommandName;
  /** For a shell; of a `<word>` the caller makes his own. */
  readonly cli: string;
  /** What becomes of the task. */
  readonly effect: string;
}

/** Those first that let the task go on. */
const waysOf: { readonly [Name in TaskCommandName]: readonly { readonly options: string; readonly effect: string }[] } =
  {
    resume: [{ options: '', effect: 'it goes on' }],
    redrive: [{ options: '', effect: 'its stage runs again, with a fresh budget of attempts and the same key' }],
    resolve: [
      {
        options: " --completed '<json>'",
        effect: 'its stage took effect, and this is the result: it goes on after it',
      },
      { options: ' --not-done', effect: 'its stage did not take effect: it runs again' },
      { options: " --failed '<why>'", effect: 'it is given up as a dead letter' },
    ],
    pause: [{ options: '', effect: 'it is held before its next start; what runs ends first' }],
    cancel: [{ options: '', effect: 'it ends for good; what a running driver returns is dropped' }],
  };
const order = Object.keys(waysOf) as readonly TaskCommandName[];

/** The command lines that move a task which takes these commands. Pure. */
export function movesOf(taskId: TaskId, legalCommands: readonly TaskCommandName[]): readonly TaskMove[] {
  return order
    .filter((command) => legalCommands.includes(command))
    .flatMap((command) =>
      // An id has no character that a shell would take for its own.
      waysOf[command].map(({ options, effect }) => ({
        command,
        cli: `cabinet task ${command} ${taskId}${options}`,
        effect,
      })),
    );
}
