import type { Fields, ObjectOf, Schema } from '../admin/schema.ts';
import { object } from '../admin/schema.ts';
import type { ConsoleConnection } from '../client.ts';
import type { OperatorAudit } from '../client/operator-audit.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';

/** What a tool works with. */
export interface ToolCall {
  readonly engine: ConsoleConnection;
  /** The pipelines of the configuration file. */
  readonly definitions: readonly PipelineDefinition[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where what is done is written down. */
  readonly audit: OperatorAudit;
  /** Who asks, for the journal. */
  readonly by: string;
  /** Deadline of one call of the engine. */
  readonly deadlineMs: number;
  /** Aborts when the agent gives the call up. */
  readonly signal: AbortSignal;
}

/** What a tool does to the engine, as an agent is told. */
export type ToolEffect =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly isDestructive: boolean; readonly isIdempotent: boolean };

/** One tool: all that the server and the agent know of it. */
export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly effect: ToolEffect;
  readonly input: Schema<unknown>;
  readonly answer: Schema<unknown>;
  readonly run: (args: unknown, call: ToolCall) => Promise<unknown>;
}

/** A tool, with its handler typed by its schemas. */
export function tool<const Input extends Fields, Answer>(definition: {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly effect: ToolEffect;
  readonly input: Input;
  readonly answer: Schema<Answer>;
  readonly run: (args: ObjectOf<Input>, call: ToolCall) => Promise<NoInfer<Answer>>;
}): Tool {
  return {
    ...definition,
    input: object(definition.input),
    // The server reads the arguments by this very schema before it calls.
    run: definition.run as Tool['run'],
  };
}

/** That nothing is changed. */
export const reads: ToolEffect = { kind: 'read' };
