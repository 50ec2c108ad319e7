import { describe, expect, it } from 'vitest';
import type { ConsoleConnection } from '../../../src/client.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { EngineAccess } from '../../../src/mcp/engine-access.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';

/** Connections that are numbered, and which of them are closed. */
class Connections {
  readonly closed: number[] = [];
  count = 0;
  failure: Error | null = null;
  readonly access = new EngineAccess({
    logger: new MemoryLogger(),
    connect: async () => {
      this.count += 1;
      const number = this.count;
      if (this.failure !== null) throw this.failure;
      const close = async (): Promise<void> => void this.closed.push(number);
      return { client: { close, number } } as unknown as ConsoleConnection;
    },
  });

  use(error?: Error): Promise<number> {
    return this.access.use(async ({ client }) => {
      if (error !== undefined) throw error;
      return (client as unknown as { readonly number: number }).number;
    });
  }
}

const lost = new EngineError('NATS_UNREACHABLE', 'the connection is down');

describe('the way to the engine', () => {
  it('is found at the first call, and kept for the next ones', async () => {
    const connections = new Connections();
    expect(connections.count).toBe(0);
    expect(await Promise.all([connections.use(), connections.use()])).toEqual([1, 1]);
    expect(await connections.use()).toBe(1);
    await connections.access.close();
    expect(connections.closed).toEqual([1]);
  });

  it('NATS_UNREACHABLE: is looked for anew after a call that did not reach it', async () => {
    const connections = new Connections();
    await connections.use();
    await expect(connections.use(lost)).rejects.toBe(lost);
    expect(await connections.use()).toBe(2);
    expect(connections.closed).toEqual([1]);
  });

  it('is kept after a refusal, which says that it is there', async () => {
    const connections = new Connections();
    await expect(connections.use(new EngineError('TASK_NOT_FOUND', 'no task'))).rejects.toThrow('no task');
    expect(await connections.use()).toBe(1);
    expect(connections.closed).toEqual([]);
  });

  it('that is given up is closed when the last call on it has ended', async () => {
    const connections = new Connections();
    let release: () => void = () => undefined;
    const slow = connections.access.use(
      () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    );
    await expect(connections.use(lost)).rejects.toBe(lost);
    expect(connections.closed).toEqual([]);
    release();
    await slow;
    await connections.access.close();
    expect(connections.closed).toEqual([1]);
  });

  it('that is not there is told to each caller, and asked for again by the next', async () => {
    const connections = new Connections();
    connections.failure = lost;
    await expect(connections.use()).rejects.toBe(lost);
    await expect(connections.use()).rejects.toBe(lost);
    expect(connections.count).toBe(2);
    connections.failure = null;
    expect(await connections.use()).toBe(3);
    await connections.access.close();
  });
});
