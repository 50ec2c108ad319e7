import type { PayloadStore } from '../actors/payload-store.ts';
import type { DetectorPolicy } from '../cluster/failure-detector.ts';
import type { EngineConfig } from '../core/config.ts';
import type { EngineError } from '../core/errors.ts';
import type { NodeId, Sequence, ShardId } from '../core/ids.ts';
import type { ShardCommand } from '../core/messages.ts';
import type { NodeLife } from '../core/node-messages.ts';
import type { Reply } from '../core/replies.ts';
import type { PipelineRegistry } from '../pipeline/registry.ts';
import type { BlobStore } from '../ports/blobs.ts';
import type { Bus, BusService } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import type { LeaseStore } from '../ports/leases.ts';
import type { Logger } from '../ports/logger.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Random } from '../ports/random.ts';
import type { SnapshotStore } from '../ports/snapshots.ts';
import type { Tracing } from '../ports/tracing.ts';

/** What an engine is built of. All ports; the composition root chooses the adapters. */
export interface EngineDeps {
  readonly config: EngineConfig;
  readonly nodeId: NodeId;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing?: Tracing | undefined;
  readonly journal: Journal;
  readonly snapshots: SnapshotStore;
  readonly leases: LeaseStore;
  /** Heartbeats and notices between the nodes. */
  readonly bus: Bus;
  readonly payloads: PayloadStore;
  /** Where payloads of tasks that nobody can ask for any more are deleted. */
  readonly blobs: Pick<BlobStore, 'census' | 'deleteTask'>;
  readonly registry: PipelineRegistry;
  /** The user's integrations, handed to every driver. */
  readonly ports: Readonly<Record<string, unknown>>;
  /** Makes a shard's subject answer with `deliver`. */
  readonly serve: (
    shard: ShardId,
    deliver: (command: ShardCommand, respond: (reply: Reply) => void) => void,
  ) => Promise<BusService>;
  /** How far every projection has read the journal; nothing behind it is trimmed. */
  readonly projectedThrough: () => Sequence;
  /** A life of this node begins: before its lease is first written, so that whoever sees the process end can name it. */
  readonly onLife?: ((life: NodeLife) => void) | undefined;
  /** Whether it measures how late the event loop is; true when left out. Of no use where time is virtual. */
  readonly watchesEventLoop?: boolean;
  /** Times of the heartbeats between nodes; those of production when left out. */
  readonly detector?: DetectorPolicy;
  /** The engine cannot go on as this node; it has stopped itself. */
  readonly onFailed: (error: EngineError) => void;
}
