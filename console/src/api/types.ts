import type { BulkAction, BulkEnd, BulkPace, BulkPhase } from '../../../src/admin/bulk/bulk-run.ts';
import type { IndexedTask, TaskFilter } from '../../../src/ports/task-index.ts';
import type { JsonValue } from '../../../src/core/json.ts';

// What the API answers, in the server's own words where it has them: types alone, nothing of the server is in the page.
export type { AdminAuditEntry } from '../../../src/admin/audit-sink.ts';
export type { ClusterNodeRow, ClusterStatus } from '../../../src/client/cluster-client.ts';
export type { ShardRow } from '../../../src/cluster/rebalance-report.ts';
export type { ErrorReport } from '../../../src/core/errors.ts';
export type { JsonValue } from '../../../src/core/json.ts';
export type { TaskEvent } from '../../../src/core/records.ts';
export type { TaskCommandName, TaskStatus, TaskView } from '../../../src/core/task-view.ts';
export type { Latencies, StageLatency } from '../../../src/platform/latency-window.ts';
export type { IndexedTask, TaskFilter, TaskGroup, TaskSortField } from '../../../src/ports/task-index.ts';
export type { TaskExplanation } from '../../../src/projections/explain-task.ts';
export type { HistoryRecord } from '../../../src/projections/task-history.ts';
export type { BulkAction };

/** Roles, in the order of what they may do. */
export type Role = 'viewer' | 'operator' | 'admin';

/** Who is logged in. */
export interface Who {
  readonly name: string;
  readonly role: Role;
}

/** A pipeline that the engine runs. */
export interface PipelineSummary {
  readonly name: string;
  readonly version: number;
  readonly fingerprint: string;
  readonly stages: readonly string[];
}

/** A stage of a definition that the server itself knows. */
export interface StageDefinition {
  readonly name: string;
  readonly timeoutMs: number | null;
  readonly heartbeatTimeoutMs: number | null;
  readonly concurrency: number | null;
  readonly port: string | null;
  readonly effect: string;
  readonly skip: string | null;
  readonly retry: { readonly maxAttempts: number };
}

/** One pipeline; `definition` null: this server does not know it. */
export interface PipelineDetail extends PipelineSummary {
  readonly versions: readonly number[];
  readonly definition: readonly StageDefinition[] | null;
}

/** A bulk action. */
export interface BulkRunView {
  readonly bulkId: string;
  readonly action: BulkAction;
  readonly filter: TaskFilter;
  readonly reason: string | null;
  readonly by: string;
  readonly createdAt: number;
  readonly phase: BulkPhase;
  readonly isPaused: boolean;
  readonly end: BulkEnd | null;
  readonly pace: BulkPace;
  readonly selected: number;
  readonly sent: number;
  readonly done: number;
  readonly skipped: number;
  readonly failed: number;
  readonly failedAgain: number;
  readonly failures: readonly { readonly taskId: string; readonly code: string; readonly message: string }[];
}

/** A group of dead letters that failed alike. */
export interface DeadLetterGroup {
  readonly fingerprint: string | null;
  readonly count: number;
  readonly message: string | null;
  readonly sample: IndexedTask | null;
}

/** A payload as it is shown. */
export interface PayloadAnswer {
  readonly name: string;
  readonly sizeBytes: number;
  readonly isShown: boolean;
  readonly value?: JsonValue;
}

/** A token of the admin API, without its secret. */
export interface TokenView {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: number;
  /** Null: it does not expire. */
  readonly expiresAt: number | null;
}
