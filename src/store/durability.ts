/** What a monitoring address tells of its server. */
export interface MonitoredServer {
  readonly serverId: string;
  /** Whether every write is synced to disk before it is acknowledged (`sync_interval: always`). */
  readonly syncAlways: boolean;
}

/** What an acknowledgement survives on the servers in use. */
export interface DurabilityReport {
  /**
   * `power-loss`: every write is synced first. `process-crash`: the servers sync now and then, so a power cut loses what
   * was acknowledged before it. `unverified`: at least `process-crash`; nobody could say more.
   */
  readonly level: 'power-loss' | 'process-crash' | 'unverified';
  readonly syncInterval?: 'always' | 'periodic';
  readonly replicas: number;
  /** One clause for a person: why this level. */
  readonly detail: string;
}

/**
 * The durability that the monitoring answers prove. Pure. Proof needs an answer of every address, the connected server
 * among them, and as many servers as there are replicas; one server that does not sync is proof of the contrary.
 */
export function judgeDurability(facts: {
  readonly connectedServerId: string;
  readonly monitors: readonly { readonly url: string; readonly server: MonitoredServer | undefined }[];
  readonly replicas: number;
}): DurabilityReport {
  const { connectedServerId, monitors, replicas } = facts;
  const lax = monitors.find(({ server }) => server !== undefined && !server.syncAlways);
  if (lax !== undefined) {
    const detail = `the server at ${lax.url} does not sync every write (sync_interval is not always)`;
    return { level: 'process-crash', syncInterval: 'periodic', replicas, detail };
  }
  const doubt = doubtOf(connectedServerId, monitors, replicas);
  if (doubt !== undefined) return { level: 'unverified', replicas, detail: doubt };
  return { level: 'power-loss', syncInterval: 'always', replicas, detail: 'every server syncs every write' };
}

function doubtOf(
  connectedServerId: string,
  monitors: readonly { readonly url: string; readonly server: MonitoredServer | undefined }[],
  replicas: number,
): string | undefined {
  if (monitors.length === 0)
    return 'no monitoring address is known, and a server does not tell clients whether it syncs';
  const silent = monitors.find(({ server }) => server === undefined);
  if (silent !== undefined) return `the monitoring address ${silent.url} does not answer`;
  const ids = new Set(monitors.map(({ server }) => server?.serverId));
  if (!ids.has(connectedServerId)) return 'the monitoring addresses belong to other servers than the one in use';
  if (ids.size < replicas) return `only ${ids.size} of at least ${replicas} servers could be asked`;
  return undefined;
}
