import { asError, EngineError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { BlobReference } from '../core/records.ts';
import type { TaskView } from '../core/task-view.ts';
import type { BlobStore } from '../ports/blobs.ts';

/** Objects of one task that are read at one time. */
const maximumReadsInFlight = 4;

type Value = JsonValue | { readonly $blob: BlobReference };

/**
 * The task with its large payloads in place of the references to them; the same task when it has none.
 *
 * @throws EngineError `RECORD_CORRUPT` when a payload is missing or damaged, `UNAVAILABLE`
 */
export async function fetchPayloads(task: TaskView, blobs: Pick<BlobStore, 'get'>): Promise<TaskView> {
  const { input, outputs } = task;
  const references = [input, ...Object.values(outputs ?? {})].filter(isReference);
  if (references.length === 0) return task;
  const values = new Map<string, JsonValue>();
  for (let at = 0; at < references.length; at += maximumReadsInFlight) {
    const some = references.slice(at, at + maximumReadsInFlight);
    await Promise.all(some.map(async ({ $blob }) => values.set($blob.key, await readJson(blobs, $blob))));
  }
  const resolve = (value: Value): Value => (isReference(value) ? (values.get(value.$blob.key) ?? value) : value);
  return {
    ...task,
    ...(input === undefined ? {} : { input: resolve(input) }),
    ...(outputs === undefined
      ? {}
      : { outputs: Object.fromEntries(Object.entries(outputs).map(([stage, value]) => [stage, resolve(value)])) }),
  };
}

async function readJson(blobs: Pick<BlobStore, 'get'>, reference: BlobReference): Promise<JsonValue> {
  const bytes = await blobs.get(reference);
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as JsonValue;
  } catch (error) {
    throw new EngineError('RECORD_CORRUPT', `payload ${reference.key} is not JSON`, { cause: asError(error) });
  }
}

/** A user's own value may have a key `$blob` too; only the engine's form, and nothing beside it, is a reference. */
function isReference(value: Value | undefined): value is { readonly $blob: BlobReference } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const reference = (value as { readonly $blob?: Partial<BlobReference> }).$blob;
  return (
    Object.keys(value).length === 1 &&
    typeof reference?.key === 'string' &&
    typeof reference.sizeBytes === 'number' &&
    typeof reference.sha256 === 'string'
  );
}
