import type { ConsoleConnection } from '../../src/client.ts';
import { ToolCaller, type ToolCallerDeps } from '../../src/mcp/call-tool.ts';
import type { ToolAnswer } from '../../src/mcp/tool-answer.ts';
import { tools } from '../../src/mcp/tools.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { SystemClock } from '../../src/platform/system-clock.ts';
import { MemoryAuditLog } from '../../src/store/memory-audit-log.ts';
import { card, FakeClient } from './admin-kit.ts';

/** An answer of a tool as a test looks at it: its data, or its error. */
export interface Told {
  readonly isError: boolean;
  readonly data: Readonly<Record<string, unknown>>;
  readonly error: Readonly<Record<string, unknown>> | undefined;
}

/** Tools over an engine's client that answers what the test says. */
export class McpWorld {
  readonly client = new FakeClient();
  readonly logger = new MemoryLogger();
  readonly auditLog = new MemoryAuditLog();
  readonly caller: ToolCaller;

  /** @param calls - of the client, in place of the fake's own */
  constructor(options: Partial<ToolCallerDeps> = {}, calls: object = {}) {
    const connection = {
      client: { ...this.client.asClient(), ...calls },
      blobs: { get: () => Promise.reject(new Error('no blobs')) },
      audit: {
        log: this.auditLog,
        ensure: async () => undefined,
        clock: new SystemClock(),
        random: new SeededRandom(8),
      },
    };
    this.caller = new ToolCaller({
      engine: { use: (run) => run(connection as unknown as ConsoleConnection) },
      definitions: [card],
      clock: new SystemClock(),
      random: new SeededRandom(7),
      logger: this.logger,
      allowsWrites: true,
      deadlineMs: 1_000,
      ...options,
    });
  }

  async call(name: string, args?: unknown): Promise<Told> {
    const tool = tools.find((one) => one.name === name);
    if (tool === undefined) throw new Error(`there is no tool ${name}`);
    const { signal } = new AbortController();
    return told(await this.caller.call({ tool, args, by: 'mcp:test', signal }));
  }
}

/** An answer, which must say the same as text and as structure. */
export function told({ content, structuredContent, isError }: ToolAnswer): Told {
  const text = content.map((part) => part.text).join('');
  if (text !== JSON.stringify(structuredContent)) throw new Error(`the text says another thing: ${text}`);
  return {
    isError: isError === true,
    data: structuredContent,
    error: structuredContent['error'] as Readonly<Record<string, unknown>> | undefined,
  };
}
