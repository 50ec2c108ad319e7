import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { taskEventTypes } from '../../../src/core/records.ts';
import { boundsOf } from '../../../src/pipeline/bounds.ts';
import { attemptsUsed } from '../../../src/pipeline/control.ts';
import {
  acceptedEvents,
  initialStep,
  legalCommands,
  restore,
  snapshotOf,
  step,
  stepByXState,
  type MachineEvent,
  type MachineState,
} from '../../../src/pipeline/machine-step.ts';
import { explainRefusal } from '../../../src/pipeline/refusals.ts';
import { selectTransition } from '../../../src/pipeline/transition-plan.ts';
import { aControl, an, at, cardPipeline, onTo } from './card-pipeline.ts';
import { allControls, allEvents } from './machine-events.ts';

const nodes = [...cardPipeline.plan.nodes.values()];

/** Every event that the state accepts, with whatever data it needs. */
function movesFrom(state: MachineState, events: readonly MachineEvent[] = allEvents): MachineEvent[] {
  return events.filter((event) => selectTransition(state.node, state.control, event, event.at) !== null);
}

/** Attempts and ways on that no enumeration can foresee, for the state that a walk has come to. */
function eventsNear({ node, control }: MachineState): MachineEvent[] {
  const stage = node.stage ?? 'parse';
  return [
    an.start(stage, control.attempt + 1),
    an.checkpoint(stage, control.attempt),
    an.retry(stage, control.attempt, 3_000),
    an.giveUp(stage, control.attempt),
    an.due(stage, control.attempt + 1, true),
    an.due(stage, control.attempt + 1),
    ...(['notDone', 'unknown', 'failed'] as const).map((kind) => an.resolve(stage, control.attempt, kind)),
    ...(['rerun', 'lookup', 'park', 'deadLetter'] as const).map((kind) => an.ownerChange(stage, control.attempt, kind)),
    ...['photos', 'publish', 'export', null].map((next) => an.completion(stage, control.attempt, onTo(next))),
    an.completion(stage, control.attempt, onTo('publish', { start: true, skipped: ['photos'] })),
    an.resolveCompleted(stage, control.attempt, onTo(null, { skipped: ['export'] })),
  ].map((event) => at(2_500, event));
}

describe('the stage machine', () => {
  it('has five states for each stage, one dead-letter state for each, and three beside them', () => {
    expect(nodes.map(({ value }) => value)).toEqual([
      'new',
      ...['parse', 'photos', 'publish', 'export'].flatMap((stage) =>
        ['queued', 'running', 'backingOff', 'held', 'unknown'].map((state) => `${stage}.${state}`),
      ),
      'completed',
      'canceled',
      ...['parse', 'photos', 'publish', 'export'].map((stage) => `deadLettered.${stage}`),
    ]);
  });

  it('R-CORE-1: is total: every state, control and event is either accepted or refused with a reason, never both', () => {
    expect(new Set(allEvents.map(({ type }) => type))).toEqual(new Set(taskEventTypes));
    const answers = { accepted: 0, refused: 0 };
    for (const node of nodes) {
      for (const control of allControls) {
        for (const event of allEvents) {
          const taken = selectTransition(node, control, event, event.at) !== null;
          const reason = explainRefusal(node, control, event, cardPipeline.stages);
          if (taken === (reason !== null)) {
            expect.fail(`${node.value} ${JSON.stringify({ control, event })}: taken ${taken}, refused: ${reason}`);
          }
          if (taken) answers.accepted += 1;
          else answers.refused += 1;
        }
      }
    }
    expect(answers.accepted).toBeGreaterThan(1_000);
    expect(answers.refused).toBeGreaterThan(1_000);
  });

  it('R-CORE-1: at most one transition fits an event, so that their order decides nothing', () => {
    for (const node of nodes) {
      for (const control of allControls) {
        for (const event of allEvents) {
          const fitting = (node.transitions.get(event.type) ?? []).filter(
            ({ guard, params }) => guard === null || guard(control, event, params, event.at),
          );
          if (fitting.length > 1) expect.fail(`${node.value} ${JSON.stringify({ control, event })}`);
        }
      }
    }
  });

  it('R-CORE-1: does on every state and event what XState itself does', { timeout: 60_000 }, () => {
    let moves = 0;
    for (const node of nodes) {
      for (const control of allControls.filter((_, index) => index % 2 === 0)) {
        const state = restore(cardPipeline, node.value, control);
        const events = [...movesFrom(state), ...allEvents.filter((_, index) => index % 11 === 0)];
        for (const event of events) {
          const planned = step(cardPipeline, state, event, event.at);
          const byXState = stepByXState(cardPipeline, state, event);
          if (planned.kind === 'moved') moves += 1;
          if (planned.kind !== byXState.kind) expect.fail(`${node.value} ${JSON.stringify({ control, event })}`);
          if (planned.kind === 'moved') expect(byXState).toEqual(planned);
        }
      }
    }
    expect(moves).toBeGreaterThan(500);
  });

  it('R-CORE-1: the same events give the same states again, from any state that was stored and restored', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 40 }), (choices) => {
        let state = initialStep(cardPipeline);
        let replayed = initialStep(cardPipeline);
        for (const choice of choices) {
          const moves = movesFrom(state, [...allEvents, ...eventsNear(state)]);
          const event = moves[choice % Math.max(moves.length, 1)];
          if (event === undefined) return; // The task has ended: nothing moves it.
          const result = step(cardPipeline, state, event, event.at);
          if (result.kind === 'refused') throw new Error(result.reason);
          state = result.state;
          const stored = JSON.parse(
            JSON.stringify({ value: replayed.value, control: replayed.control }),
          ) as MachineState;
          const again = step(
            cardPipeline,
            restore(cardPipeline, stored.value, stored.control),
            JSON.parse(JSON.stringify(event)) as MachineEvent,
            event.at,
          );
          if (again.kind === 'refused') throw new Error(again.reason);
          replayed = again.state;
          expect(replayed).toEqual(state);
          expect(stepByXState(cardPipeline, restore(cardPipeline, stored.value, stored.control), event)).toEqual(
            result,
          );
        }
      }),
      { numRuns: 100 },
    );
  });

  it('R-RETRY-2: without an operator no walk starts a stage more often than its attempts and its interruptions', () => {
    const [, limits] = boundsOf(cardPipeline).stages;
    const cutOff = ['stage.released', 'stage.cleared', 'owner.changed', 'outcome.resolved'];
    const walked = ['stage.started', 'retry.due', 'stage.failed', ...cutOff];
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 30, maxLength: 200 }), (choices) => {
        let state = restore(cardPipeline, 'photos.queued', aControl());
        let budget = 0;
        for (const choice of choices) {
          const moves = movesFrom(state, [...allEvents, ...eventsNear(state)]).filter(({ type }) =>
            walked.includes(type),
          );
          const event = moves[choice % Math.max(moves.length, 1)];
          if (event === undefined) break;
          const result = step(cardPipeline, state, event, event.at);
          if (result.kind === 'refused') throw new Error(result.reason);
          state = result.state;
          if (state.node.stage !== 'photos') break;
          expect(attemptsUsed(state.control)).toBeLessThanOrEqual(limits?.maxAttempts ?? 0);
          budget = Math.max(budget, attemptsUsed(state.control));
        }
        expect(budget).toBeGreaterThan(0);
      }),
    );
  });

  it('R-RETRY-2: a retry beyond the last attempt is refused, whoever decided it', () => {
    const state = restore(cardPipeline, 'photos.running', aControl({ attempt: 2 }));
    expect(step(cardPipeline, state, an.retry('photos', 2), 2_000)).toEqual({
      kind: 'refused',
      reason: 'all 2 attempts of photos are used up',
    });
    expect(step(cardPipeline, state, an.giveUp('photos', 2), 2_000)).toMatchObject({
      kind: 'moved',
      state: { value: 'deadLettered.photos' },
    });
  });
});

describe('restore', () => {
  it('gives every state back by its name', () => {
    for (const { value } of nodes) expect(restore(cardPipeline, value, aControl()).value).toBe(value);
  });

  it.each([['photos'], ['shred.running'], ['photos.sleeping'], ['deadLettered'], [''], ['constructor']])(
    "RECORD_CORRUPT for the state '%s', which the definition does not have",
    (value) => {
      expect(() => restore(cardPipeline, value, aControl())).toThrow(
        expect.objectContaining({ code: 'RECORD_CORRUPT', got: value }),
      );
    },
  );
});

describe('snapshotOf', () => {
  it('shows every state to XState, with the finished ones as done', () => {
    for (const { value } of nodes) {
      const snapshot = snapshotOf(cardPipeline, restore(cardPipeline, value, aControl({ attempt: 1 })));
      expect(snapshot.status).toBe(['completed', 'canceled'].includes(value) ? 'done' : 'active');
      expect(snapshot.context).toEqual(aControl({ attempt: 1 }));
    }
  });
});

describe('acceptedEvents and legalCommands', () => {
  it('tell what each state can take', () => {
    const table = nodes
      .filter(({ value }) => !/^(photos|publish|export)\.|deadLettered\.(photos|publish|export)/.test(value))
      .map(({ value }) => [value, acceptedEvents(cardPipeline, value, aControl()).join(' ')]);
    expect(Object.fromEntries(table)).toEqual({
      new: 'task.submitted',
      'parse.queued': 'stage.started task.paused task.canceled task.quarantined',
      'parse.running':
        'stage.checkpointed stage.completed stage.failed task.paused task.canceled stage.released owner.changed task.quarantined',
      'parse.backingOff': 'retry.due task.paused task.canceled task.quarantined',
      'parse.held': 'task.resumed task.canceled task.quarantined',
      'parse.unknown': 'task.canceled task.redriven outcome.resolved owner.changed task.quarantined',
      completed: '',
      canceled: '',
      'deadLettered.parse': 'task.redriven',
    });
  });

  it('say the truth: an accepted type moves the state with the right data, another one never does', () => {
    for (const { value } of nodes) {
      for (const control of allControls.slice(0, 3)) {
        const state = restore(cardPipeline, value, control);
        const moving = movesFrom(state, [...allEvents, ...eventsNear(state)]).map(({ type }) => type);
        const accepted = acceptedEvents(cardPipeline, value, control);
        expect(taskEventTypes.filter((type) => moving.includes(type))).toEqual(accepted);
      }
    }
  });

  it.each([
    ['new', aControl(), []],
    ['photos.queued', aControl(), ['pause', 'cancel']],
    ['photos.running', aControl({ attempt: 1 }), ['pause', 'cancel']],
    ['photos.running', aControl({ attempt: 1, pausing: true }), ['resume', 'cancel']],
    ['photos.backingOff', aControl({ attempt: 1, dueAt: 9 }), ['pause', 'cancel']],
    ['photos.held', aControl(), ['resume', 'cancel']],
    ['photos.unknown', aControl({ attempt: 1 }), ['cancel', 'redrive', 'resolve']],
    ['deadLettered.photos', aControl({ attempt: 1 }), ['redrive']],
    ['completed', aControl(), []],
    ['canceled', aControl(), []],
  ])('in %s with %o the legal commands are %o', (value, control, commands) => {
    expect(legalCommands(cardPipeline, value, control)).toEqual(commands);
  });

  it('RECORD_CORRUPT for a state that does not exist', () => {
    expect(() => legalCommands(cardPipeline, 'nowhere', aControl())).toThrow(
      expect.objectContaining({ code: 'RECORD_CORRUPT' }),
    );
  });
});
