import { describe, expect, it } from 'vitest';
import { OperatorAudit } from '../../../src/client/operator-audit.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { MemoryLogger } from '../../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../../src/platform/seeded-random.ts';
import { VirtualClock } from '../../../src/platform/virtual-clock.ts';
import type { AuditEntry } from '../../../src/ports/audit-log.ts';
import { MemoryAuditLog } from '../../../src/store/memory-audit-log.ts';

class World {
  readonly log = new MemoryAuditLog();
  readonly logger = new MemoryLogger();
  /** What making the stream, and each append, meets. */
  ensureFailure: EngineError | null = null;
  appendFailure: EngineError | null = null;
  ensured = 0;
  readonly audit = new OperatorAudit({
    log: {
      append: async (entry) => {
        if (this.appendFailure !== null) throw this.appendFailure;
        return this.log.append(entry);
      },
      list: (query) => this.log.list(query),
      verify: (anchor) => this.log.verify(anchor),
    },
    ensure: async () => {
      this.ensured += 1;
      if (this.ensureFailure !== null) throw this.ensureFailure;
    },
    clock: new VirtualClock(),
    random: new SeededRandom(1),
    logger: this.logger,
    by: 'ada',
    address: 'cli@desk',
  });

  async entries(): Promise<readonly AuditEntry[]> {
    const { entries } = await this.log.list({ limit: 10 });
    return entries.toReversed();
  }
}

const cancel = { action: 'task.cancel', target: 't-1', reason: 'asked by support', commandId: 'c-1' } as const;

describe('what an operator does past the admin API', () => {
  it('I56: is written down before it takes effect, with who, from where and why, and what came of it', async () => {
    const world = new World();
    const result = await world.audit.record(
      cancel,
      async () => {
        expect(await world.entries()).toMatchObject([{ outcome: 'allowed' }]);
        return 'canceled';
      },
      (state) => ({ state }),
    );
    expect(result).toBe('canceled');
    const line = { principal: 'ada', role: null, address: 'cli@desk', ...cancel };
    expect(await world.entries()).toMatchObject([
      { ...line, outcome: 'allowed', after: null },
      { ...line, outcome: 'done', after: { state: 'canceled' } },
    ]);
    const [first, second] = await world.entries();
    expect(first?.requestId).toBe(second?.requestId);
  });

  it('I56: a refusal by the engine is written down with its code, and thrown', async () => {
    const world = new World();
    const refused = new EngineError('NOT_ALLOWED', 'it has completed');
    await expect(world.audit.record(cancel, () => Promise.reject(refused))).rejects.toBe(refused);
    expect(await world.entries()).toMatchObject([{ outcome: 'allowed' }, { outcome: 'failed', code: 'NOT_ALLOWED' }]);
  });

  it.each(['UNAVAILABLE', 'STORAGE_FULL', 'STREAM_MISCONFIGURED'] as const)(
    'I56 %s: takes no effect when it cannot be written down',
    async (code) => {
      const world = new World();
      let done = 0;
      const act = async (): Promise<void> => void (done += 1);
      world.ensureFailure = new EngineError(code, 'no log');
      await expect(world.audit.record(cancel, act)).rejects.toMatchObject({ code });
      const other = new World();
      other.appendFailure = new EngineError(code, 'no log');
      await expect(other.audit.record(cancel, act)).rejects.toMatchObject({ code });
      expect(done).toBe(0);
    },
  );

  it('BUS_FORBIDDEN: who may not write the log is a client, and acts as one; that is said once', async () => {
    const world = new World();
    world.ensureFailure = new EngineError('BUS_FORBIDDEN', 'not for this user');
    expect(await world.audit.record(cancel, async () => 'first')).toBe('first');
    expect(await world.audit.record(cancel, async () => 'second')).toBe('second');
    expect(world.ensured).toBe(1);
    expect(await world.entries()).toEqual([]);
    expect(world.logger.lines.map(({ message }) => message)).toEqual([
      expect.stringContaining('the audit log is not for this user') as string,
    ]);
  });

  it('UNAVAILABLE: what has happened has happened: a line that is lost afterwards is said in the log alone', async () => {
    const world = new World();
    const act = async (): Promise<string> => {
      world.appendFailure = new EngineError('UNAVAILABLE', 'it is gone');
      return 'canceled';
    };
    expect(await world.audit.record(cancel, act)).toBe('canceled');
    expect(world.logger.lines).toMatchObject([{ level: 'error', message: 'a line of the audit log is lost' }]);
  });

  it('names who it was told of before who runs the process', async () => {
    const world = new World();
    await world.audit.record({ ...cancel, by: 'support-desk', parameters: { filter: {} } }, async () => null);
    expect(await world.entries()).toMatchObject([
      { principal: 'support-desk', parameters: { filter: {} } },
      { principal: 'support-desk' },
    ]);
  });
});
