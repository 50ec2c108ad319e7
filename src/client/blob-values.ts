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
  const [fetchedInput, fetchedOutputs] = await Promise.all([
    input === undefined ? undefined : fetchValues({ input }, blobs),
    outputs === undefined ? undefined : fetchValues(outputs, blobs),
  ]);
  return {
    ...task,
    ...(fetchedInput === undefined ? {} : fetchedInput),
    ...(fetchedOutputs === undefined ? {} : { outputs: fetchedOutputs }),
  };
}

type Values = Readonly<Record<string, Value>>;

/** The same of values by name; a promise only when there is something to read. @throws EngineError as {@link fetchPayloads} */
export function fetchValues(values: Values, blobs: Pick<BlobStore, 'get'>): Values | Promise<Values> {
  for (const name in values) if (isReference(values[name])) return readReferences(values, blobs);
  return values;
}

async function readReferences(values: Values, blobs: Pick<BlobStore, 'get'>): Promise<Values> {
  const references = Object.values(values).filter(isReference);
  const read = new Map<string, JsonValue>();
  for (let at = 0; at < references.length; at += maximumReadsInFlight) {
    const some = references.slice(at, at + maximumReadsInFlight);
    await Promise.all(some.map(async ({ $blob }) => read.set($blob.key, await readJson(blobs, $blob))));
  }
  const resolve = (value: Value): Value => (isReference(value) ? (read.get(value.$blob.key) ?? value) : value);
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, resolve(value)]));
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
  if (reference === undefined) return false;
  return (
    Object.keys(value).length === 1 &&
    typeof reference.key === 'string' &&
    typeof reference.sizeBytes === 'number' &&
    typeof reference.sha256 === 'string'
  );
}
