import {
  apiSubject,
  auditStream,
  blobBucket,
  clusterSubject,
  deadLetterBucket,
  eventStream,
  journalStream,
  nodeBucket,
  shardBucket,
  snapshotBucket,
} from '../core/subjects.ts';
import { bucketStream, keySubject, objectStream, ordersKey } from './bucket-keys.ts';

/**
 * Who speaks to NATS in a cluster's name.
 *
 * - `node`: runs tasks; alone writes journals, snapshots, leases and locks
 * - `client`: sends commands and reads payloads; sees no journal
 * - `console`: supervisor and admin console; a client that also reads everything and writes orders, events and audit
 * - `observer`: reads events, dead letters and the state of the cluster; can change nothing
 */
export const natsRoles = ['node', 'client', 'console', 'observer'] as const;

/** One of {@link natsRoles}. */
export type NatsRole = (typeof natsRoles)[number];

/** What a role may do, as subjects of the server's `permissions`. */
export interface NatsPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Most answers to one request, -1 for any number, and how long they may take; null: it answers nobody. */
  readonly responses: { readonly max: number; readonly expires: string } | null;
}

/** Endpoints of the JSON service that change nothing. */
const readingEndpoints = ['info', 'pipelines', 'dead-letters', 'get', 'list', 'result'] as const;
/** A result may be waited for so long, and the answer comes at its end. */
const longestAnswer = '11m';

/** Where a role's replies arrive: its own prefix, so that no role hears the answers to another. */
export function inboxPrefixOf(role: NatsRole): string {
  return `_INBOX_cabinet_${role}`;
}

/**
 * What each role may do, and no more. Pure. Nobody may delete, update, restore or list streams of others, or delete single
 * messages; a node creates the cluster's own streams at its first start.
 *
 * @param remoteDrivers - subjects of drivers that run elsewhere on the bus, for the nodes that call them
 */
export function permissionsOf(
  role: NatsRole,
  options: { readonly namespace: string; readonly remoteDrivers?: readonly string[] },
): NatsPermissions {
  const { namespace } = options;
  const inbox = `${inboxPrefixOf(role)}.>`;
  switch (role) {
    case 'node':
      return {
        publish: [
          ...['journal', 'self-test', 'node', 'shard'].map((kind) => `${namespace}.${kind}.*`),
          clusterSubject(namespace, '*'),
          ...ownBuckets(namespace).map((bucket) => `$KV.${bucket}.>`),
          `$O.${blobBucket(namespace)}.>`,
          '$JS.API.INFO',
          ...writtenStreams(namespace).flatMap((stream) => [
            `$JS.API.STREAM.CREATE.${stream}`,
            `$JS.API.STREAM.PURGE.${stream}`,
            ...reading(stream),
          ]),
          ...(options.remoteDrivers ?? []).map((subject) => `${subject}.>`),
        ],
        subscribe: [
          ...['node', 'shard'].map((kind) => `${namespace}.${kind}.*`),
          clusterSubject(namespace, '*'),
          apiSubject(namespace, '*'),
          '$SRV.>',
          inbox,
        ],
        // A request may be answered in parts, and an answer holds those to others of the same asker.
        responses: { max: -1, expires: longestAnswer },
      };
    case 'client':
      return {
        publish: [
          `${namespace}.shard.*`,
          apiSubject(namespace, '*'),
          '$SRV.>',
          ...readingMessages(objectStream(blobBucket(namespace))),
        ],
        subscribe: [inbox],
        responses: null,
      };
    case 'console':
      return {
        publish: [
          ...['shard', 'node'].map((kind) => `${namespace}.${kind}.*`),
          clusterSubject(namespace, '*'),
          apiSubject(namespace, '*'),
          '$SRV.>',
          keySubject(shardBucket(namespace), ordersKey),
          '$JS.API.INFO',
          ...writtenStreams(namespace).flatMap((stream) => reading(stream)),
          ...projectedStreams(namespace).flatMap((stream) => [`$JS.API.STREAM.CREATE.${stream}`, ...reading(stream)]),
          `${namespace}.events.>`,
          `${namespace}.audit.>`,
        ],
        subscribe: [`${namespace}.events.>`, inbox],
        responses: null,
      };
    case 'observer':
      return {
        publish: [
          ...readingEndpoints.map((endpoint) => apiSubject(namespace, endpoint)),
          '$SRV.>',
          ...projectedStreams(namespace)
            .slice(0, 1)
            .flatMap((stream) => reading(stream)),
        ],
        subscribe: [`${namespace}.events.>`, clusterSubject(namespace, 'changed'), inbox],
        responses: null,
      };
    default:
      return role satisfies never;
  }
}

function ownBuckets(namespace: string): readonly string[] {
  return [snapshotBucket(namespace), nodeBucket(namespace), shardBucket(namespace), deadLetterBucket(namespace)];
}

/** The streams that nodes write. */
function writtenStreams(namespace: string): readonly string[] {
  return [
    journalStream(namespace),
    `${namespace}-self-test`,
    ...ownBuckets(namespace).map((bucket) => bucketStream(bucket)),
    objectStream(blobBucket(namespace)),
  ];
}

/** The streams that the console writes: events first. */
function projectedStreams(namespace: string): readonly string[] {
  return [eventStream(namespace), auditStream(namespace)];
}

function readingMessages(stream: string): readonly string[] {
  return [`$JS.API.STREAM.INFO.${stream}`, `$JS.API.STREAM.MSG.GET.${stream}`];
}

/** A consumer is created by whoever reads, for itself. */
function reading(stream: string): readonly string[] {
  return [
    ...readingMessages(stream),
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.*`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  ];
}
