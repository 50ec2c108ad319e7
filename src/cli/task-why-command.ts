import type { Command } from 'commander';
import { parseTaskId } from '../core/ids.ts';
import type { TaskExplanation } from '../projections/explain-task.ts';
import type { CliContext } from './context.ts';
import { formatInstant, formatSpan } from './duration.ts';
import { addExamples, addReadOptions, type ReadOptions } from './options.ts';
import { formatFields, formatTable } from './table.ts';
import { toneOf } from './task-text.ts';
import { runRead, type Drawing } from './view.ts';

/** `cabinet task why`. */
export function addTaskWhy(parent: Command, context: CliContext): void {
  const command = parent
    .command('why <task-id>')
    .description('say what holds a task, who can move it, when it moves by itself, and the commands that move it')
    .action(async (text: string, options: ReadOptions) => {
      const taskId = parseTaskId(text);
      const { explainOneTask, findInJournal } = await import('../client/explain-one-task.ts');
      await runRead(context, options, async ({ client, settings, deadlineMs }, signal) => {
        const deps = {
          client,
          clock: context.clock,
          definitions: settings.file?.config.pipelines ?? [],
          recorded: findInJournal(client),
        };
        const explanation = await explainOneTask(deps, taskId, { deadlineMs, signal });
        return {
          document: explanation,
          items: [explanation],
          text: (drawing) => whyText(explanation, context.clock.now(), drawing),
          notes:
            explanation.source === 'owner'
              ? []
              : ['its owner does not answer: this is what the journal has of it, and commands wait for its next owner'],
        };
      });
    });
  addReadOptions(command);
  addExamples(command, 'cabinet task why card-42', 'cabinet task why card-42 --json | jq -r .moves[].cli');
}

/** An explanation for people. @param now - by the wall clock */
export function whyText(explanation: TaskExplanation, now: number, { paint, width }: Drawing): string {
  const { taskId, state, status, owner, sentence, holds, movers, movesAt, legalEvents, moves } = explanation;
  const head = formatFields(
    [
      ['state', state],
      ['why', sentence],
      ['held by', holds.length === 0 ? 'nothing' : holds.map(({ kind }) => kind).join(', ')],
      ['moved by', movers.join(', ')],
      [
        'moves',
        movesAt === null ? movesUnknown(movers) : `${formatInstant(movesAt)} (in ${formatSpan(movesAt - now)})`,
      ],
      ...(owner === null ? [] : [['owner', `${owner.node} in epoch ${owner.epoch}`] as const]),
      ...(legalEvents.length === 0 ? [] : [['takes', legalEvents.join(', ')] as const]),
    ],
    paint,
  );
  const tone = toneOf(status);
  const title = `${taskId} ${tone === undefined ? status : paint(tone, status)}`;
  if (moves.length === 0) return `${title}\n${head}`;
  const table = formatTable(
    [
      { title: 'COMMAND', value: (move) => move.cli },
      { title: 'THEN', value: (move) => move.effect },
    ],
    moves,
    { paint, width },
  );
  return `${title}\n${head}\n\n${table}`;
}

function movesUnknown(movers: TaskExplanation['movers']): string {
  const [first] = movers;
  if (first === 'nobody') return 'never';
  return first === 'operator' ? 'not by itself' : 'at a time that nobody knows';
}
