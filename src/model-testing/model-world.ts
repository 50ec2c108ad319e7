import type { Client } from '../client/client.ts';
import type { EngineConfig } from '../core/config.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import type { EngineDeps } from '../supervisor/engine-deps.ts';
import type { Engine } from '../supervisor/engine.ts';

/** A world in which engines run in virtual time, as a composition root makes it. */
export interface ModelWorld {
  readonly clock: Clock & {
    runUntil(condition: () => boolean, limits?: { readonly maxVirtualMs?: number }): Promise<void>;
  };
  readonly config: EngineConfig;
  readonly journal: Journal;
  /** A client outside of every process. */
  readonly client: Client;
  /** An engine that is not started yet. */
  createEngine(nodeId: string, pipelines?: readonly PipelineDefinition[], overrides?: Partial<EngineDeps>): Engine;
}

/** Makes a world with these pipelines, in which no engine runs yet. */
export type CreateModelWorld = (options: {
  readonly pipelines: readonly PipelineDefinition[];
  readonly ports: Readonly<Record<string, unknown>>;
  readonly config: Partial<EngineConfig>;
}) => ModelWorld;
