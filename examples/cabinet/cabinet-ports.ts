import { FatalError } from '../../src/core/driver-errors.ts';
import type { BoardClient } from './publish/board-client.ts';
import type { FeedStore } from './export/feed-store.ts';
import type { ResourceReader } from './resources/resource.ts';
import type { WorkFolder } from './photos/work-folder.ts';

/** What the card pipeline's drivers ask of the outside, given to the node as `ports: { cabinet }`. */
export interface CabinetPorts {
  readonly resources: ResourceReader;
  readonly work: WorkFolder;
  readonly board: BoardClient;
  readonly feed: FeedStore;
}

/**
 * The cabinet's ports, as the node passes them on.
 *
 * @throws FatalError `PORT_MISSING` when the node was started without them
 */
export function cabinetOf(ctx: { readonly ports: Readonly<Record<string, unknown>> }): CabinetPorts {
  const { cabinet } = ctx.ports;
  if (typeof cabinet === 'object' && cabinet !== null) return cabinet as CabinetPorts;
  throw new FatalError('the node was started without `ports.cabinet`', { code: 'PORT_MISSING' });
}
