import { EngineError } from '../core/errors.ts';
import type { EngineConfig } from '../core/config.ts';
import type { TaskId } from '../core/ids.ts';
import { inlineCheckpointBytes, inlineResultBytes } from '../core/inline-budget.ts';
import { copyJson, freezeJson, type JsonValue } from '../core/json.ts';
import type { Payload } from '../core/records.ts';
import type { BlobStore } from '../ports/blobs.ts';

/** The settings that payloads are measured by. */
export type PayloadLimits = Pick<EngineConfig, 'inlinePayloadBytes' | 'maxPayloadBytes' | 'maxCheckpoints'>;

/**
 * Turns JSON values into payloads and back: small ones lie in the record, large ones in the blob store (claim check).
 * Sizes are those of the JSON text in UTF-8. Values are frozen: a driver that could change its input in place would change
 * the task's state, which the journal knows nothing of.
 */
export class PayloadStore {
  readonly #blobs: BlobStore;
  readonly #config: PayloadLimits;

  constructor(deps: { readonly blobs: BlobStore; readonly config: PayloadLimits }) {
    this.#blobs = deps.blobs;
    this.#config = deps.config;
  }

  /** {@link pack} of an input or an output in a pipeline of that many stages. */
  packResult(taskId: TaskId, name: string, value: unknown, stageCount: number): Payload | Promise<Payload> {
    return this.pack(taskId, name, value, inlineResultBytes(this.#config, stageCount));
  }

  /** {@link pack} of a checkpoint. */
  packCheckpoint(taskId: TaskId, name: string, value: unknown): Payload | Promise<Payload> {
    return this.pack(taskId, name, value, inlineCheckpointBytes(this.#config));
  }

  /**
   * The payload of a value, as a copy; a promise only when it has to be stored outside.
   *
   * @param name - what it is, for the object's name and for errors: `input`, `output`, `checkpoint`
   * @throws EngineError `UNSERIALIZABLE`, `INVALID_ARGUMENT`, `PAYLOAD_TOO_LARGE`; rejects as {@link BlobStore.put}
   */
  pack(
    taskId: TaskId,
    name: string,
    value: unknown,
    inlineBytes = this.#config.inlinePayloadBytes,
  ): Payload | Promise<Payload> {
    const copy = copyJson(value, name);
    // Most are small, and need no exact count.
    if (copy.mostBytes <= inlineBytes) return { json: copy.value };
    const bytes = Buffer.from(JSON.stringify(copy.value), 'utf8');
    if (bytes.length <= inlineBytes) return { json: copy.value };
    if (bytes.length > this.#config.maxPayloadBytes) {
      throw new EngineError('PAYLOAD_TOO_LARGE', `${name} of task ${taskId} has ${bytes.length} bytes of JSON`, {
        field: name,
        limit: `${this.#config.maxPayloadBytes} bytes`,
        got: bytes.length,
        hint: 'keep large things in a store of your own and pass a reference',
      });
    }
    return this.#blobs.put(taskId, name, bytes).then((blob) => ({ blob }));
  }

  /** The value of a payload, frozen; a promise only when it lies outside. Rejects as {@link BlobStore.get}. */
  unpack(payload: Payload): JsonValue | Promise<JsonValue> {
    // One that comes from the journal or a snapshot is not frozen yet.
    if ('json' in payload) return freezeJson(payload.json);
    return this.#blobs.get(payload.blob).then((bytes) => parseFrozen(Buffer.from(bytes).toString('utf8')));
  }

  /** The values of payloads by name, frozen; a promise only when one lies outside. */
  unpackAll(
    payloads: Readonly<Record<string, Payload>>,
  ): Record<string, JsonValue> | Promise<Record<string, JsonValue>> {
    const values: Record<string, JsonValue> = {};
    const pending: Promise<void>[] = [];
    for (const name in payloads) {
      const payload = payloads[name] as Payload;
      if ('json' in payload) values[name] = freezeJson(payload.json);
      else pending.push(Promise.resolve(this.unpack(payload)).then((value) => void (values[name] = value)));
    }
    return pending.length === 0 ? values : Promise.all(pending).then(() => values);
  }
}

/** The value of a JSON text, frozen with all that is in it. */
export function parseFrozen(text: string): JsonValue {
  return freezeJson(JSON.parse(text) as JsonValue);
}
