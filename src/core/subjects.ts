import type { NodeId, PipelineName, ShardId } from './ids.ts';

// Every subject, stream and bucket name is built here, from parts that were checked at the edge. Task ids never go in raw
// except as the checked last token of a key.

/** The stream that holds the journals of all shards. */
export function journalStream(namespace: string): string {
  return `${namespace}-journal`;
}

/** The subject of one shard's journal. */
export function journalSubject(namespace: string, shard: ShardId): string {
  return `${namespace}.journal.${shard}`;
}

/** The shard of a journal subject. */
export function shardOfJournalSubject(subject: string): ShardId {
  return Number(subject.slice(subject.lastIndexOf('.') + 1)) as ShardId;
}

/** The KV bucket of live and finished snapshots and checkpoints. */
export function snapshotBucket(namespace: string): string {
  return `${namespace}-snapshots`;
}

/** The KV bucket of node leases; it alone has delete markers. */
export function nodeBucket(namespace: string): string {
  return `${namespace}-nodes`;
}

/** The KV bucket of shard locks and of values that are set once. */
export function shardBucket(namespace: string): string {
  return `${namespace}-shards`;
}

/** The KV bucket of the dead-letter projection. */
export function deadLetterBucket(namespace: string): string {
  return `${namespace}-dead-letters`;
}

/** The Object Store bucket of payloads over the inline limit. */
export function blobBucket(namespace: string): string {
  return `${namespace}-payloads`;
}

/** Where the owner of a shard, and nobody else, answers requests. */
export function shardSubject(namespace: string, shard: ShardId): string {
  return `${namespace}.shard.${shard}`;
}

/** Where any node answers JSON requests of the micro service; `endpoint` is one of its fixed names. */
export function apiSubject(namespace: string, endpoint: string): string {
  return `${namespace}.api.${endpoint}`;
}

/** Where a node, and nobody else, answers heartbeats and node commands. */
export function nodeSubject(namespace: string, nodeId: NodeId): string {
  return `${namespace}.node.${nodeId}`;
}

/** What all nodes are told. `changed`: look again; `exited`: a node's process is known to have ended. */
export type ClusterNotice = 'changed' | 'exited';

/** Where all nodes hear a notice, or with `*` every notice; nobody answers. */
export function clusterSubject(namespace: string, notice: ClusterNotice | '*'): string {
  return `${namespace}.cluster.${notice}`;
}

/** The stream that holds the published events. */
export function eventStream(namespace: string): string {
  return `${namespace}-events`;
}

/** Every subject of the events. */
export function eventSubjects(namespace: string): string {
  return `${namespace}.events.>`;
}

/**
 * Where an event is published, such as `cabinet.events.listing.stage.failed` for `io.cabinet.stage.failed`.
 *
 * @param pipeline - null for an event of a shard, whose second token is `_`
 */
export function eventSubject(namespace: string, pipeline: PipelineName | null, type: string): string {
  return `${namespace}.events.${pipeline ?? '_'}.${type.replace(/^io\.cabinet\./, '')}`;
}

/** The stream that holds the audit log. */
export function auditStream(namespace: string): string {
  return `${namespace}-audit`;
}

/** The one subject of the audit log. */
export function auditSubject(namespace: string): string {
  return `${namespace}.audit.log`;
}
