import { EngineError } from '../core/errors.ts';
import { blobBucket, deadLetterBucket, nodeBucket, shardBucket, snapshotBucket } from '../core/subjects.ts';
import type { BucketApi, JetStreamSettings } from './bucket-api.ts';
import { bucketStream, objectStream } from './bucket-keys.ts';

/** The engine's buckets, by what they hold. */
export type BucketPurpose = 'snapshots' | 'nodes' | 'shards' | 'deadLetters' | 'blobs';

/** What the buckets are created with. */
export interface BucketOptions {
  readonly namespace: string;
  /** 1, 3 or 5. */
  readonly replicas: number;
  /** Bytes after which a bucket takes no more; without a limit when left out. */
  readonly maximumBytes?: Readonly<Partial<Record<BucketPurpose, number>>>;
}

/** How long the marker of an expired node lease can be seen. */
const nodeMarkerTtlMs = 60_000;
const nanosecondsPerMillisecond = 1_000_000;

/** A stream's settings, those by which the engine's promises stand or fall among them. */
export interface BucketSettings extends JetStreamSettings {
  readonly name: string;
}

/** The settings of every bucket's stream: the shapes that `nats kv`, `nats object` and the client libraries know. */
export function bucketSettings(options: BucketOptions): readonly BucketSettings[] {
  const { namespace, maximumBytes = {} } = options;
  const keyValue = (bucket: string, purpose: BucketPurpose, extra: JetStreamSettings = {}): BucketSettings => ({
    ...sharedSettings(options.replicas, maximumBytes[purpose]),
    name: bucketStream(bucket),
    subjects: [`$KV.${bucket}.>`],
    max_msgs_per_subject: 1,
    deny_delete: true,
    allow_msg_ttl: true,
    ...extra,
  });
  return [
    keyValue(snapshotBucket(namespace), 'snapshots'),
    keyValue(nodeBucket(namespace), 'nodes', {
      // Without it nobody would hear of a lease that ran out.
      subject_delete_marker_ttl: nodeMarkerTtlMs * nanosecondsPerMillisecond,
    }),
    keyValue(shardBucket(namespace), 'shards'),
    keyValue(deadLetterBucket(namespace), 'deadLetters'),
    {
      ...sharedSettings(options.replicas, maximumBytes.blobs),
      name: objectStream(blobBucket(namespace)),
      subjects: [`$O.${blobBucket(namespace)}.C.>`, `$O.${blobBucket(namespace)}.M.>`],
    },
  ];
}

function sharedSettings(replicas: number, maximumBytes: number | undefined): JetStreamSettings {
  return {
    storage: 'file',
    num_replicas: replicas,
    retention: 'limits',
    // A full bucket says so; it never drops what was acknowledged.
    discard: 'new',
    max_bytes: maximumBytes ?? -1,
    max_age: 0,
    max_msgs: -1,
    allow_rollup_hdrs: true,
    allow_direct: true,
    deny_purge: false,
  };
}

/** A setting of an existing stream that breaks a promise of the engine. */
export interface SettingDeviation {
  readonly setting: string;
  readonly wanted: unknown;
  readonly found: unknown;
}

/**
 * The first setting of an existing stream that the engine cannot live with, or null. Pure. More replicas than asked for and
 * another byte limit are the operator's own business.
 */
export function findDeviation(wanted: JetStreamSettings, found: JetStreamSettings): SettingDeviation | null {
  for (const [setting, value] of Object.entries(wanted)) {
    if (setting === 'max_bytes' || isAccepted(setting, value, found[setting])) continue;
    return { setting, wanted: value, found: found[setting] };
  }
  if (found['sealed'] === true) return { setting: 'sealed', wanted: false, found: true };
  if (found['mirror'] !== undefined) return { setting: 'mirror', wanted: 'none', found: found['mirror'] };
  // It acknowledges before it has written.
  const { persist_mode: persistMode } = found;
  if (persistMode === 'async') return { setting: 'persist_mode', wanted: 'default', found: persistMode };
  return null;
}

function isAccepted(setting: string, wanted: unknown, found: unknown): boolean {
  if (setting === 'num_replicas') return Number(found) >= Number(wanted);
  // The server leaves out what is false or zero.
  if (found === undefined) return wanted === false || wanted === 0;
  return JSON.stringify(found) === JSON.stringify(wanted);
}

/**
 * Creates the buckets that are missing and reads back the settings of all, for an old server ignores what it does not know.
 *
 * @throws EngineError `STREAM_MISCONFIGURED` with the stream and setting, `UNAVAILABLE`, `STORAGE_FULL`, `BUS_FORBIDDEN`
 */
export async function ensureBuckets(api: BucketApi, options: BucketOptions): Promise<void> {
  for (const wanted of bucketSettings(options)) await ensureStream(api, wanted);
}

/**
 * Creates a stream if it is missing and reads back its settings.
 *
 * @throws EngineError as {@link ensureBuckets}
 */
export async function ensureStream(
  api: BucketApi,
  wanted: JetStreamSettings & { readonly name: string },
): Promise<void> {
  const found =
    (await api.streamSettings(wanted.name)) ??
    (await api.createStream(wanted)) ??
    // Another node has created it in between.
    (await api.streamSettings(wanted.name));
  if (found === null) {
    throw new EngineError('UNAVAILABLE', `stream ${wanted.name} is neither there nor can it be created`);
  }
  const deviation = findDeviation(wanted, found);
  if (deviation !== null) throw misconfigured(wanted.name, deviation);
}

function misconfigured(stream: string, deviation: SettingDeviation): EngineError {
  const { setting, wanted, found } = deviation;
  return new EngineError('STREAM_MISCONFIGURED', `stream ${stream}: ${setting} breaks a promise of the engine`, {
    field: `${stream}.${setting}`,
    limit: JSON.stringify(wanted),
    got: found ?? 'not set',
    hint: `correct it with 'nats stream edit ${stream}', or use another namespace`,
  });
}
