import { attemptKey, type StageStart } from '../story.ts';
import type { Breach, Invariant } from '../invariant.ts';
import type { ReplayFaultKind } from '../replay-fault.ts';
import type { Story } from '../story.ts';

/** How a task goes through its stages: by its machine, one record after the other, each result once. */
export const stageInvariants: readonly Invariant[] = [
  {
    id: 'I8',
    title: 'a stage has at most one recorded result, ever',
    needs: ['journal'],
    check: (story) => faultsOf(story, ['completesAgain']),
  },
  {
    id: 'I9',
    title: "a task's records are what its pipeline's machine makes of them, in the order of the journal",
    needs: ['journal'],
    check: (story) => faultsOf(story, ['noSubmit', 'refused', 'elsewhere']),
  },
  {
    id: 'I20',
    title: 'what an attempt came to is recorded under the epoch that started it',
    needs: ['journal'],
    check: checkEpochOfEnds,
  },
  {
    id: 'I24',
    title: "a task's records are counted without a gap or a repeat: its messages were handled one at a time",
    needs: ['journal'],
    check: (story) => faultsOf(story, ['gap']),
  },
  {
    id: 'I26',
    title: "a record is about the attempt that is due, and no attempt is granted past the policy's limit",
    needs: ['journal'],
    check: (story) => faultsOf(story, ['attempt', 'overLimit']),
  },
  {
    id: 'I26',
    title: 'a driver is called only for an attempt whose start is committed, and with the fence of that start',
    needs: ['journal', 'drivers'],
    *check(story) {
      for (const event of story.eventsOf('driver.started')) {
        if (!story.isSound(event.task)) continue;
        const start = story.startOf(event);
        const name = attemptKey(event);
        if (start === undefined) {
          yield { says: `a driver was called for ${name}, which has no committed start`, events: [event] };
        } else if (!isOfStart(event.fence, start)) {
          yield {
            says: `a driver was called for ${name} with another fence than its start`,
            sequences: [start.sequence],
            events: [event],
          };
        } else if (event.at < start.at) {
          yield {
            says: `a driver was called for ${name} before its start was committed`,
            sequences: [start.sequence],
            events: [event],
          };
        }
      }
    },
  },
  {
    id: 'I26',
    title: 'an effect is that of an attempt whose start is committed, and has the fence of that start',
    needs: ['journal', 'effects'],
    *check(story) {
      for (const event of story.eventsOf('effect')) {
        if (!story.isSound(event.task)) continue;
        const start = story.startOf(event);
        const name = `${event.key}: attempt ${event.attempt}`;
        if (start === undefined) yield { says: `${name} had an effect without a committed start`, events: [event] };
        else if (!isOfStart(event.fence, start)) {
          yield {
            says: `${name} had an effect under another fence than its start`,
            sequences: [start.sequence],
            events: [event],
          };
        }
      }
    },
  },
];

function* faultsOf({ faults }: Story, kinds: readonly ReplayFaultKind[]): Iterable<Breach> {
  for (const { fault, record, sequence } of faults) {
    if (kinds.includes(fault.kind)) yield { says: `task ${record.task} ${fault.detail}`, sequences: [sequence] };
  }
}

function* checkEpochOfEnds(story: Story): Iterable<Breach> {
  for (const { record, shard, epoch, sequence, after } of story.steps) {
    const { event, task } = record;
    const isOwnersWord =
      event.type === 'stage.completed' ||
      event.type === 'stage.failed' ||
      event.type === 'stage.checkpointed' ||
      event.type === 'stage.released' ||
      event.type === 'stage.cleared';
    if (!isOwnersWord || after === null) continue;
    const { stage, attempt } = event;
    const start = story.startOf({ task, stage, attempt });
    if (start === undefined || (start.epoch === epoch && start.shard === shard)) continue;
    yield {
      says: `${attemptKey({ task, stage, attempt })} was started under epoch ${start.epoch}, and has its ${event.type} under ${epoch}`,
      sequences: [start.sequence, sequence],
    };
  }
}

function isOfStart(
  fence: { readonly shard: number; readonly epoch: number; readonly sequence: number },
  start: StageStart,
): boolean {
  return fence.shard === start.shard && fence.epoch === start.epoch && fence.sequence === start.sequence;
}
