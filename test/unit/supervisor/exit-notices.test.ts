import { describe, expect, it } from 'vitest';

import { decodeNodeLife, type NodeLife } from '../../../src/core/node-messages.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import { ExitNotices } from '../../../src/supervisor/exit-notices.ts';
import { MemoryBus } from '../../../src/transport/memory-bus.ts';

const life = { nodeId: 'n-1', incarnation: 'a' } as NodeLife;

async function listen(): Promise<{ notices: ExitNotices; heard: NodeLife[]; clock: VirtualClock }> {
  const clock = new VirtualClock();
  const bus = new MemoryBus({ clock, logger: new MemoryLogger() });
  const heard: NodeLife[] = [];
  await bus.serve('space.cluster.*', ({ body }) => heard.push(decodeNodeLife(body)));
  return { notices: new ExitNotices({ bus, clock, namespace: 'space' }), heard, clock };
}

describe('notices of an exit', () => {
  it('go out at once, and again within two seconds for whoever lost the first', async () => {
    const { notices, heard, clock } = await listen();
    notices.tellExited(life);
    await clock.advance(10);
    expect(heard).toEqual([life]);
    await clock.advance(2_000);
    expect(heard).toHaveLength(5);
    await clock.advance(60_000);
    expect(heard).toHaveLength(5);
  });

  it('are not repeated after the end, and leave no timer', async () => {
    const { notices, heard, clock } = await listen();
    notices.tellExited(life);
    await clock.advance(10);
    notices.close();
    await clock.advance(2_000);
    expect(heard).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });
});
