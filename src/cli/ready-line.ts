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
  readonly pid: number;
  readonly pipelines: readonly { readonly name: string; readonly version: number }[];
}

/** What a node that has started tells. `natsUrl` shows no credentials: it may be given with some. */
export function readyLine(node: RunningNode, settings: Settings, pid: number): ReadyLine {
  const pipelines = settings.file?.config.pipelines ?? [];
  return {
    ready: true,
    nodeId: node.nodeId,
    namespace: node.config.namespace,
    natsUrl: withoutCredentials(node.natsUrl),
    durability: node.durability.level,
    dataDir: settings.nats.servers === undefined ? settings.dataDir : null,
    pid,
    pipelines: pipelines.map(({ name, version }) => ({ name, version })),
  };
}

/** A pipeline with its stages in one line. */
export function describePipeline({ name, version, stages }: PipelineDefinition): string {
  return `${name}@${version} (${stages.map((stage) => stage.name).join(' → ')})`;
}

function withoutCredentials(url: string): string {
  return url.replace(/^((?:[a-z]+:\/\/)?)[^/]*@/i, '$1');
}
