import { beforeEach, describe, expect, it } from 'vitest';

import type { Labels, Metrics } from '../../src/ports/metrics.ts';

/** Metrics under test, and how to read a value back. */
export interface MetricsUnderTest {
  readonly metrics: Metrics;
  /** A counter's sum or a gauge's value; of a histogram the sum of what was observed. */
  value(name: string, labels?: Labels): Promise<number>;
  /** A histogram's number of observations. */
  count(name: string, labels?: Labels): Promise<number>;
}

/** Matches a broken promise of our own code. */
const asBug = (): Error => expect.objectContaining({ name: 'InvariantViolation', code: 'INTERNAL' }) as Error;

/** What every place for numbers must do. */
export function describeMetrics(name: string, make: () => MetricsUnderTest): void {
  describe(`Metrics: ${name}`, () => {
    let made: MetricsUnderTest;

    beforeEach(() => {
      made = make();
    });

    it('adds up a counter, by labels', async () => {
      const counter = made.metrics.counter({ name: 'tasks_total', help: 'Tasks', labels: ['outcome'] });
      counter.add(1, { outcome: 'completed' });
      counter.add(2, { outcome: 'completed' });
      counter.add(5, { outcome: 'canceled' });
      expect(await made.value('tasks_total', { outcome: 'completed' })).toBe(3);
      expect(await made.value('tasks_total', { outcome: 'canceled' })).toBe(5);
    });

    it('counts one when no amount is given', async () => {
      const counter = made.metrics.counter({ name: 'commits_total', help: 'Commits' });
      counter.add();
      counter.add();
      expect(await made.value('commits_total')).toBe(2);
    });

    it('keeps the last value of a gauge, also one that falls', async () => {
      const gauge = made.metrics.gauge({ name: 'mailbox_depth', help: 'Depth' });
      gauge.set(7);
      gauge.set(-1);
      expect(await made.value('mailbox_depth')).toBe(-1);
    });

    it('counts and sums the observations of a histogram', async () => {
      const buckets = [0.1, 1, 10];
      const histogram = made.metrics.histogram({ name: 'stage_seconds', help: 'Time', labels: ['stage'], buckets });
      histogram.observe(0.5, { stage: 'parse' });
      histogram.observe(20, { stage: 'parse' });
      expect(await made.count('stage_seconds', { stage: 'parse' })).toBe(2);
      expect(await made.value('stage_seconds', { stage: 'parse' })).toBe(20.5);
    });

    it('gives the same metric for the same name', async () => {
      const definition = { name: 'retries_total', help: 'Retries' };
      made.metrics.counter(definition).add();
      made.metrics.counter(definition).add();
      expect(await made.value('retries_total')).toBe(2);
    });

    it('refuses a name that is taken by another kind as a bug: INTERNAL', () => {
      made.metrics.gauge({ name: 'depth', help: 'Depth' });
      expect(() => made.metrics.histogram({ name: 'depth', help: 'Depth', buckets: [1] })).toThrow(asBug());
    });

    it('refuses a name that is taken with other labels as a bug: INTERNAL', () => {
      made.metrics.counter({ name: 'moves_total', help: 'Moves' });
      expect(() => made.metrics.counter({ name: 'moves_total', help: 'Moves', labels: ['why'] })).toThrow(asBug());
    });

    it('lets gauges be set just before they are read, until told to stop', async () => {
      const gauge = made.metrics.gauge({ name: 'depth', help: 'Depth' });
      let depth = 3;
      const stop = made.metrics.beforeRead(() => gauge.set(depth));
      expect(await made.value('depth')).toBe(3);
      depth = 4;
      expect(await made.value('depth')).toBe(4);
      stop();
      depth = 5;
      expect(await made.value('depth')).toBe(4);
    });

    it('refuses a counter that would fall, and a value that is no number, as a bug: INTERNAL', () => {
      const counter = made.metrics.counter({ name: 'falls_total', help: 'Falls' });
      expect(() => counter.add(-1)).toThrow(asBug());
      expect(() => counter.add(Number.NaN)).toThrow(asBug());
      expect(() => made.metrics.gauge({ name: 'depth', help: 'Depth' }).set(Number.NaN)).toThrow(asBug());
    });

    it('refuses a label that is not defined, and a missing one, as a bug: INTERNAL', () => {
      const counter = made.metrics.counter({ name: 'labeled_total', help: 'Labeled', labels: ['stage'] });
      expect(() => counter.add(1, { stage: 'parse', task: 't-1' })).toThrow(asBug());
      expect(() => counter.add(1)).toThrow(asBug());
    });

    it('refuses a counter whose name does not end in _total, as a bug: INTERNAL', () => {
      expect(() => made.metrics.counter({ name: 'tasks', help: 'Tasks' })).toThrow(asBug());
    });
  });
}
