import type { Client } from '../client/client.ts';
import type { ClusterClient } from '../client/cluster-client.ts';

/** What the admin API needs of the engine's client. */
export type AdminClient = Pick<
  Client,
  'submit' | 'get' | 'pause' | 'resume' | 'cancel' | 'redrive' | 'resolve' | 'history' | 'info'
> & {
  readonly cluster: Pick<
    ClusterClient,
    'status' | 'cordon' | 'uncordon' | 'drain' | 'moveShard' | 'planMove' | 'unpinShard'
  >;
};
