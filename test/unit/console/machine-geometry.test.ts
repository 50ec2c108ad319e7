import { describe, expect, it } from 'vitest';
import { machineShape, type Box, type DrawnStage } from '../../../console/src/model/machine-geometry.ts';

function stagesOf(count: number, skippable: readonly number[] = []): readonly DrawnStage[] {
  return Array.from({ length: count }, (_, index) => ({ name: `s-${index}`, canBeSkipped: skippable.includes(index) }));
}

function overlap(one: Box, other: Box): boolean {
  const isBeside = one.x + one.width <= other.x || other.x + other.width <= one.x;
  const isAbove = one.y + one.height <= other.y || other.y + other.height <= one.y;
  return !isBeside && !isAbove;
}

describe("a machine's picture", () => {
  it.each([
    [1, 320],
    [5, 1_100],
    [12, 700],
    [64, 900],
    [200, 1_300],
    [200, 320],
  ])('of %s stages in %s: no box lies on another or outside, and the line wraps', (count, widthLimit) => {
    const shape = machineShape(stagesOf(count), { widthLimit });
    const boxes: readonly Box[] = [...shape.stages, ...shape.ends];
    boxes.forEach((box, index) => {
      expect(box.x).toBeGreaterThanOrEqual(0);
      expect(box.x + box.width).toBeLessThanOrEqual(shape.width);
      expect(box.y + box.height).toBeLessThanOrEqual(shape.height);
      expect(boxes.slice(index + 1).some((other) => overlap(box, other))).toBe(false);
    });
    expect(shape.stages).toHaveLength(count);
    expect(shape.width).toBeLessThanOrEqual(Math.max(widthLimit, 280));
  });

  it('draws the states inside a stage, and leaves them out where there are too many stages', () => {
    const [stage] = machineShape(stagesOf(3), { widthLimit: 900 }).stages;
    expect(stage?.substates.map(({ state }) => state)).toEqual([
      's-0.queued',
      's-0.running',
      's-0.backingOff',
      's-0.held',
      's-0.unknown',
      'deadLettered.s-0',
    ]);
    for (const substate of stage?.substates ?? []) {
      expect(substate.x).toBeGreaterThan(stage?.x ?? 0);
      expect(substate.x + substate.width).toBeLessThan((stage?.x ?? 0) + (stage?.width ?? 0));
    }
    expect(machineShape(stagesOf(41), { widthLimit: 900 }).stages[0]?.substates).toEqual([]);
  });

  it('joins the stages in a line from the start to completed', () => {
    const { edges } = machineShape(stagesOf(3), { widthLimit: 900 });
    expect(edges.map(({ from, to, isSkip }) => [from, to, isSkip])).toEqual([
      ['new', 's-0', false],
      ['s-0', 's-1', false],
      ['s-1', 's-2', false],
      ['s-2', 'completed', false],
    ]);
  });

  it('has an arc over every run of stages that may be passed over, and over those that were', () => {
    const skips = (stages: readonly DrawnStage[], taken: readonly (readonly [string, string])[] = []): unknown =>
      machineShape(stages, { widthLimit: 2_000, taken }).edges.flatMap(({ from, to, isSkip }) =>
        isSkip ? [`${from} ${to}`] : [],
      );
    expect(skips(stagesOf(5, [1, 2]))).toEqual(['s-0 s-2', 's-0 s-3', 's-1 s-3']);
    expect(skips(stagesOf(4), [['s-0', 's-3']])).toEqual(['s-0 s-3']);
    expect(
      skips(stagesOf(4), [
        ['s-0', 's-1'],
        ['new', 's-0'],
        ['gone', 's-2'],
      ]),
    ).toEqual([]);
  });

  it('is a start and two ends for no stages', () => {
    expect(machineShape([], { widthLimit: 500 })).toMatchObject({ stages: [], edges: [] });
  });
});
