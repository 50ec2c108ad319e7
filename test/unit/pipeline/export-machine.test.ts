import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createActor, createMachine } from 'xstate';
import { edgesOf } from '../../../src/pipeline/check-machine.ts';
import { definePipeline } from '../../../src/pipeline/define-pipeline.ts';
import { toMermaid, toXStateJson } from '../../../src/pipeline/export-machine.ts';
import { machineImplementations } from '../../../src/pipeline/machine.ts';
import { an, at, cardPipeline, onTo } from './card-pipeline.ts';

describe('toXStateJson', () => {
  const json: unknown = JSON.parse(JSON.stringify(toXStateJson(cardPipeline)));

  it('is plain JSON: nothing is lost on the way through text', () => {
    expect(json).toEqual(toXStateJson(cardPipeline));
  });

  it("keeps the author's order of states", () => {
    expect(Object.keys(toXStateJson(cardPipeline).states)).toEqual(Object.keys(cardPipeline.machine.root.states));
  });

  it("R-STAGE-1: XState's createMachine reads the same machine from it", () => {
    const read = createMachine(json as never);
    expect(edgesOf(read as never)).toEqual(edgesOf(cardPipeline.machine));
  });

  it('runs as a plain XState actor once the named functions are given to it', () => {
    const machine = createMachine(json as never).provide(machineImplementations() as never);
    const actor = createActor(machine).start();
    actor.send(at(1, an.submit(onTo('parse', { start: true }))));
    expect(actor.getSnapshot().value).toEqual({ parse: 'running' });
    actor.send(at(2, an.completion('parse', 1, onTo('publish', { skipped: ['photos'] }))));
    expect(actor.getSnapshot().value).toEqual({ publish: 'queued' });
    actor.send(at(3, an.cancel()));
    expect(actor.getSnapshot()).toMatchObject({ value: 'canceled', status: 'done' });
  });

  it('names every function as an object with a type', () => {
    const running = toXStateJson(cardPipeline).states['parse']?.states?.['running'];
    expect(running?.on?.['task.paused']).toEqual({ guard: { type: 'isNotPausing' }, actions: [{ type: 'askPause' }] });
  });
});

describe('toMermaid', () => {
  const lines = toMermaid(cardPipeline).split('\n');

  it('draws the stages in their order', () => {
    expect(lines[0]).toBe('stateDiagram-v2');
    expect(lines.filter((line) => /^ {2}state /.test(line))).toEqual([
      '  state "parse" as s0 {',
      '  state "photos" as s1 {',
      '  state "publish" as s2 {',
      '  state "export" as s3 {',
    ]);
  });

  it('R-STAGE-2: labels each declared skip with its reason, and draws no other way on', () => {
    expect(lines.filter((line) => /: (task.submitted|stage.completed)/.test(line))).toEqual([
      '  new --> s0 : task.submitted',
      '  s0 --> s1 : stage.completed',
      '  s0 --> s2 : stage.completed, skips photos (the card has no photos)',
      '  s1 --> s2 : stage.completed',
      '  s2 --> s3 : stage.completed',
      '  s2 --> completed : stage.completed, skips export (nothing to export)',
      '  s3 --> completed : stage.completed',
    ]);
  });

  it('draws what happens within a stage, and how it is left for good', () => {
    expect(lines).toContain('    s1_running --> s1_backingOff : stage.failed');
    expect(lines).toContain('    s1_held --> s1_queued : task.resumed');
    expect(lines).toContain('  s1 --> canceled : task.canceled');
    expect(lines).toContain('  s1 --> deadLettered : task.quarantined, stage.failed, owner.changed, outcome.resolved');
    expect(lines).toContain('  deadLettered --> s1 : task.redriven');
  });

  it('no reason can break out of its label', () => {
    const definition = definePipeline({
      name: 'odd',
      version: 1,
      input: z.unknown(),
      stages: (pipeline) =>
        pipeline.stage('only', {
          output: z.unknown(),
          driver: () => 1,
          retry: { maxAttempts: 1 },
          timeoutMs: 1,
          skip: { reason: 'a: b;\nc #d', when: () => true },
        }),
    });
    expect(toMermaid(definition)).toContain('new --> completed : task.submitted, skips only (a  b  c  d)\n');
  });
});
