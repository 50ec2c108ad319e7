import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tools } from '../../../src/mcp/tools.ts';
import { McpWorld } from '../../support/mcp-kit.ts';
import { anyJsonValue, badIdsOfJson, expectGoodReport, mutations } from './awkward-values.ts';

type Json = Readonly<Record<string, unknown>>;

/** Arguments that a tool may get, one for every name that it knows. */
function goodArguments(tool: (typeof tools)[number]): object {
  const { properties } = tool.input.json as { readonly properties: Readonly<Record<string, Json>> };
  const values: Readonly<Record<string, unknown>> = {
    taskId: 't-1',
    pipeline: 'card',
    nodeId: 'n-1',
    reason: 'a test',
    input: { sku: 'A' },
    outcome: 'notDone',
    dryRun: true,
    shard: 0,
  };
  return Object.fromEntries(Object.keys(properties).flatMap((name) => (name in values ? [[name, values[name]]] : [])));
}

/** Tools over an engine whose every call is answered, those to dead letters and lists too. */
function openWorld(): McpWorld {
  const page = async (): Promise<unknown> => ({ tasks: [], next: null });
  return new McpWorld({}, { list: page, deadLetters: { list: page, redrive: async () => [] } });
}

const namesTask = tools.filter((tool) => 'taskId' in (tool.input.json['properties'] as Json));

describe('the arguments of a tool', () => {
  it.each(badIdsOfJson)(
    'INVALID_TASK_ID: row %s is refused by every tool that names a task',
    async (_row, taskId, says) => {
      const world = new McpWorld();
      expect(namesTask.length).toBeGreaterThan(7);
      for (const tool of namesTask) {
        const { error } = await world.call(tool.name, { ...goodArguments(tool), taskId });
        expect([tool.name, error]).toMatchObject([
          tool.name,
          { code: 'INVALID_TASK_ID', field: 'taskId', message: expect.stringContaining(says) as string },
        ]);
      }
      expect(world.client.calls).toEqual([]);
    },
  );

  it.each([[null], [7], ['x'], [[]], [true]])('INVALID_ARGUMENT: of %j are no object, for every tool', async (args) => {
    const world = new McpWorld();
    for (const { name } of tools) {
      // None at all is an object without members.
      if (args === null) continue;
      expect((await world.call(name, args)).error).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'arguments' });
    }
    expect(world.client.calls).toEqual([]);
  });

  it('INVALID_ARGUMENT: row 68, of an unknown name are refused by every tool, also a name of Object', async () => {
    const world = new McpWorld();
    for (const name of ['force', 'toString', 'constructor']) {
      for (const tool of tools) {
        const { error } = await world.call(tool.name, { ...goodArguments(tool), [name]: 1 });
        expect([tool.name, error]).toMatchObject([tool.name, { code: 'INVALID_ARGUMENT', field: name }]);
      }
    }
    expect(world.client.calls).toEqual([]);
  });

  it('are taken by every tool when they are good, for a dry run and for the act itself', async () => {
    const world = openWorld();
    for (const tool of tools) {
      for (const dryRun of [true, false]) {
        const { error } = await world.call(tool.name, {
          ...goodArguments(tool),
          ...('dryRun' in goodArguments(tool) && { dryRun }),
        });
        expect([tool.name, error?.['code']]).not.toEqual([tool.name, 'INTERNAL']);
      }
    }
    expect(world.logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('are taken, or answered with an error of the catalog and its field, whatever one of them is', async () => {
    const world = openWorld();
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...tools), anyJsonValue, fc.nat(50), async (tool, value, pick) => {
        const { properties } = tool.input.json as { readonly properties: Json };
        const names = Object.keys(properties);
        const changed = mutations(
          { ...goodArguments(tool), [names[pick % Math.max(1, names.length)] ?? 'x']: value },
          () => value,
        );
        const [, args] = changed[pick % Math.max(1, changed.length)] ?? ['', {}];
        const { error } = await world.call(tool.name, args);
        if (error === undefined) return;
        const { code, field } = expectGoodReport(error);
        if (code === 'INVALID_ARGUMENT' || code === 'INVALID_TASK_ID')
          expect([tool.name, typeof field]).toEqual([tool.name, 'string']);
      }),
      { numRuns: 1_500 },
    );
    expect(world.logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
