import { OperatorAudit } from '../client/operator-audit.ts';
import { asError, EngineError } from '../core/errors.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';
import type { EngineAccess } from './engine-access.ts';
import { maximumCallsInFlight } from './limits.ts';
import { answerOf, errorAnswerOf, type ToolAnswer } from './tool-answer.ts';
import type { Tool } from './tool.ts';

/** What {@link ToolCaller} works with. */
export interface ToolCallerDeps {
  readonly engine: Pick<EngineAccess, 'use'>;
  readonly definitions: readonly PipelineDefinition[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Whether tools that change something may be called. */
  readonly allowsWrites: boolean;
  readonly deadlineMs: number;
}

/** From where agents ask, as the audit log has it. */
const agentAddress = 'mcp';

/** One call of an agent. */
export interface ToolRequest {
  readonly tool: Tool;
  readonly args: unknown;
  readonly by: string;
  readonly signal: AbortSignal;
}

/** Calls tools, and makes an answer of whatever comes of it: an agent is told of an error, and nothing here ends the process. */
export class ToolCaller {
  readonly #deps: ToolCallerDeps;
  readonly #running = new Set<Promise<ToolAnswer>>();

  constructor(deps: ToolCallerDeps) {
    this.#deps = deps;
  }

  /** Whether a tool is offered. */
  offers({ effect }: Tool): boolean {
    return effect.kind === 'read' || this.#deps.allowsWrites;
  }

  /** Never rejects. */
  async call(request: ToolRequest): Promise<ToolAnswer> {
    const answer = this.#answer(request);
    this.#running.add(answer);
    try {
      return await answer;
    } finally {
      this.#running.delete(answer);
    }
  }

  /** Resolves when no call runs any more. */
  async quiet(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #answer({ tool, args, by, signal }: ToolRequest): Promise<ToolAnswer> {
    const { engine, definitions, clock, random, logger, deadlineMs } = this.#deps;
    const startedMs = clock.monotonicMs();
    const log = (code: string): void => {
      const fields = { tool: tool.name, by, code, tookMs: Math.round(clock.monotonicMs() - startedMs) };
      if (tool.effect.kind === 'write') logger.info(fields, 'a tool was called');
      else logger.debug(fields, 'a tool was called');
    };
    try {
      this.#checkOffered(tool);
      this.#checkRoom();
      const read = tool.input.read(args ?? {}, 'arguments');
      const data = await engine.use((connection) => {
        const audit = new OperatorAudit({ ...connection.audit, logger, by, address: agentAddress });
        return tool.run(read, {
          engine: connection,
          definitions,
          clock,
          random,
          logger,
          audit,
          by,
          deadlineMs,
          signal,
        });
      });
      const answer = answerOf(data);
      log('ok');
      return answer;
    } catch (thrown) {
      const error = this.#toError(thrown, tool);
      log(error.code);
      return errorAnswerOf(error);
    }
  }

  /** @throws EngineError `FORBIDDEN` */
  #checkOffered(tool: Tool): void {
    if (this.offers(tool)) return;
    throw new EngineError('FORBIDDEN', `${tool.name} changes something, and this server only reads`, {
      field: 'name',
      got: tool.name,
      hint: 'whoever runs it can start it with --allow-writes',
    });
  }

  /** @throws EngineError `OVERLOADED` */
  #checkRoom(): void {
    if (this.#running.size < maximumCallsInFlight) return;
    throw new EngineError('OVERLOADED', `${this.#running.size} calls run already`, {
      limit: `${maximumCallsInFlight} calls at one time`,
      retryAfterMs: 200,
    });
  }

  #toError(thrown: unknown, tool: Tool): EngineError {
    if (thrown instanceof EngineError) return thrown;
    const error = asError(thrown);
    this.#deps.logger.error({ err: error, tool: tool.name }, 'a tool failed unexpectedly');
    return new EngineError('INTERNAL', `${tool.name} failed unexpectedly`, {
      hint: "see the server's log",
      cause: error,
    });
  }
}
