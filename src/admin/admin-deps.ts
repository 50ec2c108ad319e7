import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { BlobStore } from '../ports/blobs.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';
import type { TaskIndex } from '../ports/task-index.ts';
import type { AccessTokens } from './access-tokens.ts';
import type { AdminClient } from './admin-client.ts';
import type { AuditSink } from './audit-sink.ts';
import type { Authenticator } from './authenticator.ts';
import type { BulkRunner } from './bulk/bulk-runner.ts';
import type { Sessions } from './sessions.ts';
import type { Tickets } from './tickets.ts';

/** One thing that health depends on. */
export interface HealthCheck {
  readonly name: string;
  readonly isGood: boolean;
  /** Said to operators, so without secrets; not said on the open health paths. */
  readonly detail?: string | undefined;
}

/** How the process stands, as its host knows it. */
export interface Health {
  /** The event loop turns and the host looks after it. */
  readonly live: () => readonly HealthCheck[];
  /** It can serve: connected, with shards, not draining. */
  readonly ready: () => readonly HealthCheck[];
  readonly started: () => boolean;
}

/** What the routes work with. */
export interface RouteDeps {
  readonly client: AdminClient;
  readonly index: TaskIndex;
  readonly audit: AuditSink;
  /** Where payloads over the inline limit lie; null: only those within it can be shown. */
  readonly blobs: Pick<BlobStore, 'get'> | null;
  /** The pipelines that this process knows itself: machine, schema and limits are told of these. */
  readonly definitions: readonly PipelineDefinition[];
  readonly health: Health;
  /** Metrics in the text format of Prometheus. */
  readonly metrics: () => Promise<string>;
  readonly tokens: AccessTokens;
  readonly sessions: Sessions;
  readonly tickets: Tickets;
  readonly authenticator: Authenticator;
  readonly bulk: BulkRunner;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}
