import { EngineError } from '../core/errors.ts';
import { journalStream } from '../core/subjects.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { NatsLink } from '../transport/nats-connection.ts';
import { StreamApi } from './stream-api.ts';
import { jetStreamCodes } from './jetstream-codes.ts';

/** The stream of all shards' journals, as the server has it. */
export interface JournalStream {
  readonly name: string;
  /** Matches the subject of every shard. */
  readonly subjects: string;
  readonly replicas: number;
  /** Largest message that one append may be, headers included. */
  readonly maximumMessageBytes: number;
}

/** What {@link ensureJournalStream} asks of the stream. */
export interface JournalStreamOptions {
  readonly namespace: string;
  readonly replicas: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Most bytes of the stream; over it appends end as `STORAGE_FULL`. -1, the default: as much as account and disk hold. */
  readonly maximumBytes?: number;
}

/**
 * How long the server remembers message ids. It only spares a read: an append that is repeated later than this is told by
 * its expected sequence and its record. Each id costs the server's memory, so this is the least that is useful.
 */
export const duplicateWindowMs = 120_000;
/** Largest journal message: more than any commit, and the most that NATS recommends at all. */
export const maximumJournalMessageBytes = 8 * 1024 * 1024;
/** A stream that takes less than this cannot hold a useful commit. */
const leastMessageBytes = 16 * 1024;

const nanosPerMilli = 1_000_000;
/** How long a stream that was just created may take to elect a leader. */
const readinessTimeoutMs = 15_000;
const readinessWaitMs = 100;

/**
 * The journal stream, created if it does not exist, read back and checked.
 *
 * @throws EngineError `STREAM_MISCONFIGURED` with the setting that breaks a promise, `UNAVAILABLE`, `BUS_FORBIDDEN`
 */
export async function ensureJournalStream(link: NatsLink, options: JournalStreamOptions): Promise<JournalStream> {
  const api = new StreamApi({ link, clock: options.clock, logger: options.logger });
  try {
    const name = journalStream(options.namespace);
    const subjects = `${options.namespace}.journal.*`;
    const config = (await readConfig(api, name)) ?? (await createStream(api, options, name, subjects));
    checkJournalConfig(config, { name, subjects, replicas: options.replicas });
    await waitUntilReady(api, name, options.clock);
    const ownLimit = numberOf(config, 'max_msg_size');
    const maximumMessageBytes = ownLimit > 0 ? Math.min(ownLimit, link.maximumPayloadBytes) : link.maximumPayloadBytes;
    return { name, subjects, replicas: numberOf(config, 'num_replicas'), maximumMessageBytes };
  } finally {
    api.close();
  }
}

type StreamConfig = Readonly<Record<string, unknown>>;

async function readConfig(api: StreamApi, name: string): Promise<StreamConfig | null> {
  const answer = await api.call(`STREAM.INFO.${name}`);
  if (answer.kind === 'ok') return answer.value['config'] as StreamConfig;
  if (answer.code === jetStreamCodes.streamNotFound) return null;
  throw new EngineError('UNAVAILABLE', `stream ${name} cannot be read: ${answer.code} ${answer.description}`);
}

async function createStream(
  api: StreamApi,
  options: JournalStreamOptions,
  name: string,
  subjects: string,
): Promise<StreamConfig> {
  const answer = await api.call(`STREAM.CREATE.${name}`, {
    name,
    subjects: [subjects],
    description: 'Journals of all shards, one subject a shard',
    storage: 'file',
    retention: 'limits',
    discard: 'new',
    num_replicas: options.replicas,
    max_age: 0,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    max_bytes: options.maximumBytes ?? -1,
    max_msg_size: maximumJournalMessageBytes,
    max_consumers: -1,
    duplicate_window: duplicateWindowMs * nanosPerMilli,
    deny_delete: true,
    deny_purge: false,
    // A direct get may be answered by a replica that lags; nobody shall be able to read the journal so by mistake.
    allow_direct: false,
    allow_rollup_hdrs: false,
  });
  if (answer.kind === 'ok') return answer.value['config'] as StreamConfig;
  // Another node was faster, with settings that are checked all the same.
  const existing = answer.code === jetStreamCodes.streamNameInUse ? await readConfig(api, name) : null;
  if (existing !== null) return existing;
  throw new EngineError('UNAVAILABLE', `stream ${name} cannot be created: ${answer.code} ${answer.description}`, {
    hint: options.replicas > 1 ? `the cluster needs at least ${options.replicas} servers with JetStream` : undefined,
  });
}

/** A stream that has just been created refuses appends until its replicas have elected a leader. */
async function waitUntilReady(api: StreamApi, name: string, clock: Clock): Promise<void> {
  const deadlineMs = clock.monotonicMs() + readinessTimeoutMs;
  for (;;) {
    const info = await api.demand(`STREAM.INFO.${name}`);
    const cluster = info['cluster'] as { readonly leader?: string } | undefined;
    if (cluster === undefined || (cluster.leader ?? '') !== '') return;
    if (clock.monotonicMs() >= deadlineMs) {
      throw new EngineError('UNAVAILABLE', `stream ${name} has no leader after ${readinessTimeoutMs} ms`);
    }
    await new Promise<void>((resolve) => void clock.setTimer(readinessWaitMs, resolve));
  }
}

/** A setting of the stream, what the journal's promise needs, and why. */
interface Rule {
  readonly field: string;
  readonly limit: string;
  readonly holds: (config: StreamConfig) => boolean;
}

function isUnlimited(config: StreamConfig, field: string): boolean {
  return numberOf(config, field) <= 0;
}

function isOff(config: StreamConfig, field: string): boolean {
  return config[field] !== true;
}

function rulesFor(expected: { readonly subjects: string; readonly replicas: number }): readonly Rule[] {
  return [
    {
      field: 'subjects',
      limit: expected.subjects,
      holds: (config) => JSON.stringify(config['subjects']) === JSON.stringify([expected.subjects]),
    },
    { field: 'storage', limit: 'file', holds: (config) => config['storage'] === 'file' },
    { field: 'retention', limit: 'limits', holds: (config) => config['retention'] === 'limits' },
    { field: 'discard', limit: 'new', holds: (config) => config['discard'] === 'new' },
    // Any of these would take messages away that a recovery still needs.
    { field: 'max_age', limit: '0', holds: (config) => isUnlimited(config, 'max_age') },
    {
      field: 'max_msgs_per_subject',
      limit: '-1',
      holds: (config) => isUnlimited(config, 'max_msgs_per_subject'),
    },
    { field: 'allow_rollup_hdrs', limit: 'false', holds: (config) => isOff(config, 'allow_rollup_hdrs') },
    { field: 'deny_delete', limit: 'true', holds: (config) => config['deny_delete'] === true },
    // Trimming is a purge of one subject.
    { field: 'deny_purge', limit: 'false', holds: (config) => isOff(config, 'deny_purge') },
    { field: 'sealed', limit: 'false', holds: (config) => isOff(config, 'sealed') },
    // Without acknowledgements, or with ones that come before the write, nothing is promised at all.
    { field: 'no_ack', limit: 'false', holds: (config) => isOff(config, 'no_ack') },
    { field: 'persist_mode', limit: 'not async', holds: (config) => config['persist_mode'] !== 'async' },
    { field: 'allow_msg_counter', limit: 'false', holds: (config) => isOff(config, 'allow_msg_counter') },
    // Foreign or renamed messages would move the sequences that the fence compares.
    { field: 'mirror', limit: 'none', holds: (config) => config['mirror'] === undefined },
    { field: 'sources', limit: 'none', holds: (config) => config['sources'] === undefined },
    {
      field: 'subject_transform',
      limit: 'none',
      holds: (config) => config['subject_transform'] === undefined,
    },
    {
      field: 'num_replicas',
      limit: `at least ${expected.replicas}`,
      holds: (config) => numberOf(config, 'num_replicas') >= expected.replicas,
    },
    {
      field: 'duplicate_window',
      limit: `at least ${duplicateWindowMs} ms`,
      holds: (config) => numberOf(config, 'duplicate_window') >= duplicateWindowMs * nanosPerMilli,
    },
    {
      field: 'max_msg_size',
      limit: `-1, or at least ${leastMessageBytes} bytes`,
      holds: (config) => isUnlimited(config, 'max_msg_size') || numberOf(config, 'max_msg_size') >= leastMessageBytes,
    },
  ];
}

/**
 * Passes a stream configuration that keeps the journal's promises.
 *
 * @throws EngineError `STREAM_MISCONFIGURED` with the first field that breaks one, its limit and what was got
 */
export function checkJournalConfig(
  config: StreamConfig,
  expected: { readonly name: string; readonly subjects: string; readonly replicas: number },
): void {
  const broken = rulesFor(expected).find((rule) => !rule.holds(config));
  if (broken === undefined) return;
  const got = config[broken.field] ?? 'nothing';
  throw new EngineError(
    'STREAM_MISCONFIGURED',
    `stream ${expected.name}: ${broken.field} must be ${broken.limit}, the server has ${JSON.stringify(got)}`,
    {
      field: broken.field,
      limit: broken.limit,
      got,
      hint: 'change the stream with `nats stream edit`, or use another namespace',
    },
  );
}

function numberOf(config: StreamConfig, field: string): number {
  const value = config[field];
  return typeof value === 'number' ? value : 0;
}
