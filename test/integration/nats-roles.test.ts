import { connect, nkeyAuthenticator, nkeys, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

import { connectClient, type Client } from '../../src/client.ts';
import { startNode, type RunningNode } from '../../src/node.ts';
import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { MemoryMetrics } from '../../src/platform/memory-metrics.ts';
import { inboxPrefixOf, natsRoles, type NatsRole } from '../../src/store/nats-roles.ts';
import { formatNatsAccounts } from '../../src/store/nats-server-config.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';

const namespace = 'shop';
const decoder = new TextDecoder();
const encoder = new TextEncoder();

const pipeline = definePipeline({
  name: 'card',
  version: 1,
  input: z.object({ sizeBytes: z.number() }),
  stages: (stages) =>
    stages
      .stage('parse', {
        output: z.object({ text: z.string() }),
        retry: { maxAttempts: 1 },
        timeoutMs: 5_000,
        driver: ({ input }) => ({ text: 'x'.repeat(input.sizeBytes) }),
      })
      .stage('count', {
        output: z.number(),
        retry: { maxAttempts: 1 },
        timeoutMs: 60_000,
        driver: ({ input }) => input.sizeBytes,
      }),
});

describe('the roles of a NATS server', () => {
  let nats: NatsFixture;
  let node: RunningNode;
  const seeds = {} as Record<NatsRole, string>;
  const connections = {} as Record<NatsRole, NatsConnection>;
  const logger = new MemoryLogger();

  beforeAll(async () => {
    const publicKeys = {} as Record<NatsRole, string>;
    for (const role of natsRoles) {
      const pair = nkeys.createUser();
      seeds[role] = decoder.decode(pair.getSeed());
      publicKeys[role] = pair.getPublicKey();
    }
    const systemKey = nkeys.createUser().getPublicKey();
    const accounts = formatNatsAccounts({ namespace, publicKeys, systemKey });
    nats = await startNats({ provider: 'binary', sync: 'always', extraConfig: accounts.join('\n') });
    node = await startNode({
      pipelines: [pipeline],
      nodeId: 'n-1',
      config: { namespace, shardCount: 4, inlinePayloadBytes: 1_000, durability: 'power-loss' },
      nats: { servers: nats.url, monitorUrls: nats.monitorUrls, ...credentials('node') },
      logger,
      metrics: new MemoryMetrics(),
    });
    for (const role of natsRoles) {
      connections[role] = await connect({
        servers: nats.url,
        inboxPrefix: inboxPrefixOf(role),
        authenticator: nkeyAuthenticator(encoder.encode(seeds[role])),
      });
    }
  });

  afterAll(async () => {
    for (const connection of Object.values(connections)) await connection.close();
    await node?.stop({ graceMs: 1_000 });
    await nats?.stop();
  });

  function credentials(role: NatsRole) {
    return { nkeySeed: seeds[role], inboxPrefix: inboxPrefixOf(role) };
  }

  function clientOf(role: NatsRole): Promise<Client> {
    return connectClient({ servers: nats.url, namespace, ...credentials(role), deadlineMs: 5_000 });
  }

  /** Whether the server lets the role do it, told by its own refusal. */
  async function isAllowed(role: NatsRole, operation: 'publish' | 'subscribe', subject: string): Promise<boolean> {
    const connection = await connect({
      servers: nats.url,
      inboxPrefix: inboxPrefixOf(role),
      authenticator: nkeyAuthenticator(encoder.encode(seeds[role])),
    });
    const refusals: string[] = [];
    const watching = (async () => {
      for await (const status of connection.status()) if (status.type === 'error') refusals.push(status.error.message);
    })();
    if (operation === 'publish') connection.publish(subject);
    else connection.subscribe(subject, { callback: () => undefined });
    // The refusal comes before the answer to this.
    await connection.flush();
    await connection.close();
    await watching;
    return !refusals.some((message) => message.includes('Permissions Violation'));
  }

  it('let a node start with nothing but its own role, and prove that writes are synced', () => {
    expect(node.isReady).toBe(true);
    expect(node.durability.level).toBe('power-loss');
    expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('let a client submit, wait, and read a result over the inline limit', async () => {
    const client = await clientOf('client');
    try {
      await client.submit(pipeline, { sizeBytes: 300_000 }, { taskId: 'large' });
      const outputs = await client.result(pipeline, 'large', { timeoutMs: 10_000 });
      expect(outputs.parse.text).toHaveLength(300_000);
    } finally {
      await client.close();
    }
  });

  it('let a node answer a client in parts, many at a time, and never twice too often', async () => {
    const client = await clientOf('client');
    for (let round = 0; round < 4; round += 1) {
      const runs = Array.from({ length: 50 }, () => client.run(pipeline, { sizeBytes: 10 }));
      expect(await Promise.all(runs)).toEqual(runs.map(() => ({ parse: { text: 'x'.repeat(10) }, count: 10 })));
    }
    await client.close();
    expect(logger.lines.filter(({ message }) => message.includes('forbidden'))).toEqual([]);
  });

  it('let a console read history and the cluster, and order', async () => {
    const console = await clientOf('console');
    try {
      await console.submit(pipeline, { sizeBytes: 10 }, { taskId: 'seen' });
      await console.result(pipeline, 'seen', { timeoutMs: 10_000 });
      const history = await console.history('seen');
      expect(history.records.length).toBeGreaterThan(2);
      const status = await console.cluster.status();
      expect(status.nodes.map(({ nodeId }) => nodeId)).toEqual(['n-1']);
      await console.cluster.cordon('n-1');
      expect((await console.cluster.uncordon('n-1')).nodeId).toBe('n-1');
    } finally {
      await console.close();
    }
  });

  it('let an observer ask what is there', async () => {
    for (const endpoint of ['info', 'pipelines', 'list']) {
      const answer = await connections.observer.request(`${namespace}.api.${endpoint}`, '{}', { timeout: 5_000 });
      expect(answer.headers?.get('Nats-Service-Error') ?? '').toBe('');
    }
  });

  it.each([
    ['node', 'publish', `${namespace}.self-test.x`],
    ['node', 'subscribe', `${namespace}.shard.9`],
    ['client', 'publish', `${namespace}.shard.9`],
    ['console', 'publish', `${namespace}.audit.x`],
    ['console', 'publish', `${namespace}.events.card.done`],
    ['console', 'publish', `$JS.API.STREAM.CREATE.${namespace}-audit`],
    ['observer', 'subscribe', `${namespace}.events.>`],
  ] as const)('let a %s %s %s', async (role, operation, subject) => {
    expect(await isAllowed(role, operation, subject)).toBe(true);
  });

  describe('refuse', () => {
    const journal = `${namespace}-journal`;
    const everyone = [...natsRoles];
    const notNode = natsRoles.filter((role) => role !== 'node');
    const publishes: readonly (readonly [subject: string, roles: readonly NatsRole[]])[] = [
      // What would forge or erase state.
      [`${namespace}.journal.0`, notNode],
      [`$KV.${namespace}-snapshots.0.checkpoint`, notNode],
      [`$KV.${namespace}-nodes.n-1`, notNode],
      [`$KV.${namespace}-shards.lock.0`, notNode],
      [`$KV.${namespace}-shards.orders`, ['client', 'observer']],
      [`$O.${namespace}-payloads.M.x`, notNode],
      [`$JS.API.STREAM.PURGE.${journal}`, notNode],
      [`$JS.API.STREAM.DELETE.${journal}`, everyone],
      [`$JS.API.STREAM.UPDATE.${journal}`, everyone],
      [`$JS.API.STREAM.MSG.DELETE.${journal}`, everyone],
      [`$JS.API.STREAM.RESTORE.${journal}`, everyone],
      [`$JS.API.STREAM.SNAPSHOT.${journal}`, everyone],
      ['$JS.API.STREAM.CREATE.other', everyone],
      ['$JS.API.STREAM.LIST', everyone],
      [`$JS.API.STREAM.PURGE.${namespace}-audit`, everyone],
      [`${namespace}.audit.x`, ['node', 'client', 'observer']],
      [`${namespace}.events.card.done`, ['node', 'client', 'observer']],
      // What would command.
      [`${namespace}.shard.0`, ['observer']],
      [`${namespace}.api.submit`, ['observer']],
      [`${namespace}.api.cancel`, ['observer']],
      [`${namespace}.cluster.exited`, ['client', 'observer']],
      [`${namespace}.node.n-1`, ['client', 'observer']],
      // What belongs to others.
      ['other.journal.0', everyone],
      ['$SYS.REQ.SERVER.PING', everyone],
      [`${inboxPrefixOf('console')}.x`, ['client', 'observer']],
    ];
    for (const [subject, roles] of publishes) {
      it.each(roles)(`BUS_FORBIDDEN: ${subject} from %s`, async (role) => {
        expect(await isAllowed(role, 'publish', subject)).toBe(false);
      });
    }

    const subscriptions: readonly (readonly [subject: string, roles: readonly NatsRole[]])[] = [
      ['>', everyone],
      [`${namespace}.>`, everyone],
      [`${namespace}.journal.*`, everyone],
      [`${namespace}.shard.0`, notNode],
      [`${namespace}.api.submit`, notNode],
      [`${namespace}.node.n-1`, notNode],
      ['_INBOX.>', everyone],
      [`${inboxPrefixOf('node')}.>`, notNode],
      [`${inboxPrefixOf('console')}.>`, ['node', 'client', 'observer']],
      [`$KV.${namespace}-snapshots.>`, everyone],
    ];
    for (const [subject, roles] of subscriptions) {
      it.each(roles)(`BUS_FORBIDDEN: listening to ${subject} by %s`, async (role) => {
        expect(await isAllowed(role, 'subscribe', subject)).toBe(false);
      });
    }

    it('whoever has no key at all, and whoever has a key of its own', async () => {
      await expect(connect({ servers: nats.url, reconnect: false })).rejects.toThrow(/authorization/i);
      const stranger = nkeyAuthenticator(nkeys.createUser().getSeed());
      await expect(connect({ servers: nats.url, authenticator: stranger, reconnect: false })).rejects.toThrow(
        /authorization/i,
      );
    });

    it('BUS_FORBIDDEN names the subject when a client of too small a role asks', async () => {
      await expect(clientOf('observer').then((client) => client.history('seen'))).rejects.toMatchObject({
        code: 'BUS_FORBIDDEN',
      });
    });
  });
});
