import type { NodeReadiness } from '../core/process-messages.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { RunningNode } from '../node.ts';
import type { Settings } from './settings.ts';

/** What a node tells, as JSON, once it is ready. */
export interface ReadyLine {
  readonly ready: true;
  readonly nodeId: string;
  readonly namespace: string;
  readonly natsUrl: string;
  readonly durability: string;
  readonly dataDir: string | null;
  /** Null: this process serves no console. */
  readonly consoleUrl: string | null;
  readonly pid: number;
  readonly pipelines: readonly { readonly name: string; readonly version: number }[];
}

/** What a node that has started tells. `natsUrl` shows no credentials: it may be given with some. */
export function readyLine(node: RunningNode, settings: Settings, pid: number, consoleUrl: string | null): ReadyLine {
  return {
    ready: true,
    nodeId: node.nodeId,
    namespace: node.config.namespace,
    natsUrl: withoutCredentials(node.natsUrl),
    durability: node.durability.level,
    dataDir: settings.nats.servers === undefined ? settings.dataDir : null,
    consoleUrl,
    pid,
    pipelines: pipelinesOf(settings),
  };
}

/** What a supervisor tells, as JSON, once all its nodes are ready. `nodeId` is what their ids begin with. */
export interface SupervisorReadyLine extends ReadyLine {
  readonly nodes: readonly { readonly nodeId: string; readonly pid: number | null }[];
}

/** What a supervisor whose nodes are ready tells. */
export function supervisorReadyLine(input: {
  readonly baseId: string;
  readonly readiness: NodeReadiness;
  readonly nodes: SupervisorReadyLine['nodes'];
  readonly settings: Settings;
  readonly pid: number;
  readonly consoleUrl: string | null;
}): SupervisorReadyLine {
  const { baseId, readiness, nodes, settings, pid, consoleUrl } = input;
  return {
    ready: true,
    nodeId: baseId,
    namespace: settings.engine.namespace,
    natsUrl: withoutCredentials(readiness.natsUrl),
    durability: readiness.durability,
    dataDir: settings.nats.servers === undefined ? settings.dataDir : null,
    consoleUrl,
    pid,
    pipelines: pipelinesOf(settings),
    nodes,
  };
}

/** A pipeline with its stages in one line. */
export function describePipeline({ name, version, stages }: PipelineDefinition): string {
  return `${name}@${version} (${stages.map((stage) => stage.name).join(' → ')})`;
}

function pipelinesOf({ file }: Settings): ReadyLine['pipelines'] {
  return (file?.config.pipelines ?? []).map(({ name, version }) => ({ name, version }));
}

function withoutCredentials(url: string): string {
  return url.replace(/^((?:[a-z]+:\/\/)?)[^/]*@/i, '$1');
}
