import { asError, EngineError } from '../core/errors.ts';
import type { StageName, TaskId } from '../core/ids.ts';
import type { JsonValue } from '../core/json.ts';
import type { BlobReference } from '../core/records.ts';
import type { PayloadView } from '../core/task-view.ts';
import type { RouteDeps } from './admin-deps.ts';

/** A payload as it is shown. */
export interface ShownPayload {
  readonly name: string;
  readonly sizeBytes: number;
  readonly isShown: boolean;
  readonly value?: JsonValue;
}

/**
 * The input of a task (`stage` null) or a stage's output. A value over `maxBytes` is told by its size alone, and not even fetched
 * when it lies outside.
 *
 * @throws EngineError `TASK_NOT_FOUND`, `NOT_FOUND` when the stage has no output, `RECORD_CORRUPT`, `UNAVAILABLE`
 */
export async function readTaskPayload(
  { client, blobs }: Pick<RouteDeps, 'client' | 'blobs'>,
  request: { readonly taskId: TaskId; readonly stage: StageName | null; readonly maxBytes: number },
): Promise<ShownPayload> {
  const { taskId, stage, maxBytes } = request;
  const { input, outputs } = await client.get(taskId, { includePayloads: true });
  const payload = stage === null ? input : outputs?.[stage];
  const name = stage ?? 'input';
  if (payload === undefined) {
    throw new EngineError('NOT_FOUND', `task ${taskId} has no payload of ${name}`, { field: 'stage', got: name });
  }
  if (!isReference(payload)) return show(name, payload, maxBytes);
  const { sizeBytes } = payload.$blob;
  if (sizeBytes > maxBytes || blobs === null) return { name, sizeBytes, isShown: false };
  const bytes = await blobs.get(payload.$blob);
  return show(name, parse(bytes, payload.$blob.key), maxBytes);
}

function show(name: string, value: JsonValue, maxBytes: number): ShownPayload {
  const sizeBytes = Buffer.byteLength(JSON.stringify(value));
  return sizeBytes > maxBytes ? { name, sizeBytes, isShown: false } : { name, sizeBytes, isShown: true, value };
}

function parse(bytes: Uint8Array, key: string): JsonValue {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as JsonValue;
  } catch (error) {
    throw new EngineError('RECORD_CORRUPT', `payload ${key} is not JSON`, { cause: asError(error) });
  }
}

/** The engine's form and nothing beside it; a user's own value may have a key `$blob` too. */
function isReference(payload: PayloadView): payload is { readonly $blob: BlobReference } {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return false;
  const reference = (payload as { readonly $blob?: Partial<BlobReference> }).$blob;
  return (
    Object.keys(payload).length === 1 &&
    typeof reference?.key === 'string' &&
    typeof reference.sizeBytes === 'number' &&
    typeof reference.sha256 === 'string'
  );
}
