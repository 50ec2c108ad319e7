import type { JsonSchema } from '../admin/schema.ts';
import { errorCatalog, EngineError, type ErrorReport } from '../core/errors.ts';
import type { TaskCommandName } from '../core/task-view.ts';
import { redactSecrets } from '../platform/redaction.ts';
import { maximumAnswerBytes } from './limits.ts';
import type { Tool } from './tool.ts';

/** What goes back to the agent: the same data as structure and as text. */
export interface ToolAnswer {
  readonly content: readonly { readonly type: 'text'; readonly text: string }[];
  readonly structuredContent: Readonly<Record<string, unknown>>;
  readonly isError?: true;
}

/** A refusal of a task, with what the task would have taken instead. */
export class IllegalCommand extends EngineError {
  readonly legalCommands: readonly TaskCommandName[];

  constructor(message: string, legalCommands: readonly TaskCommandName[], cause?: unknown) {
    const legal = legalCommands.length === 0 ? 'it takes no command now' : `it takes now: ${legalCommands.join(', ')}`;
    super('NOT_ALLOWED', message, { hint: legal, cause });
    this.name = 'IllegalCommand';
    this.legalCommands = legalCommands;
  }
}

/** An answer as it leaves: without secrets, and not over the bound. @throws EngineError `PAYLOAD_TOO_LARGE` */
export function answerOf(data: unknown): ToolAnswer {
  const structuredContent = redactSecrets(withoutUndefined(data)) as Readonly<Record<string, unknown>>;
  const text = JSON.stringify(structuredContent);
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > maximumAnswerBytes) {
    throw new EngineError('PAYLOAD_TOO_LARGE', `the answer has ${sizeBytes} bytes`, {
      limit: `${maximumAnswerBytes} bytes`,
      got: sizeBytes,
      hint: 'ask for fewer rows with `limit`, or narrow the filter',
    });
  }
  return { content: [{ type: 'text', text }], structuredContent };
}

/** An error as it leaves. */
export function errorAnswerOf(error: EngineError): ToolAnswer {
  const report: ErrorReport & { readonly legalCommands?: readonly TaskCommandName[] } = {
    ...error.toReport(),
    ...(error instanceof IllegalCommand ? { legalCommands: error.legalCommands } : {}),
  };
  return { ...answerOf({ error: report }), isError: true };
}

const errorSchema: JsonSchema = {
  type: 'object',
  description: 'what went wrong, instead of an answer',
  properties: {
    code: { type: 'string', enum: Object.keys(errorCatalog), description: 'stable; see docs/ERRORS.md' },
    message: { type: 'string' },
    field: { type: 'string', description: 'the argument at fault' },
    limit: { type: 'string', description: 'what is allowed' },
    got: { type: 'string' },
    hint: { type: 'string' },
    retryable: { type: 'boolean', description: 'whether the same call may succeed later' },
    retryAfterMs: { type: 'integer' },
    legalCommands: { type: 'array', items: { type: 'string' }, description: 'the commands that the task takes now' },
  },
  required: ['code', 'message', 'retryable'],
  additionalProperties: false,
};

/** What a tool's structured answer is: its data, or an error. A client checks both against it. */
export function outputSchemaOf({ answer }: Tool): JsonSchema & { readonly type: 'object' } {
  const { properties = {}, required = [] } = answer.json as {
    readonly properties?: JsonSchema;
    readonly required?: readonly string[];
  };
  return {
    type: 'object',
    properties: { ...properties, error: errorSchema },
    additionalProperties: false,
    anyOf: [{ required }, { required: ['error'] }],
  };
}

/** As JSON has it: what is undefined is not there. */
function withoutUndefined(data: unknown): unknown {
  return JSON.parse(JSON.stringify(data)) as unknown;
}
