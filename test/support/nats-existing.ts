import { connect, type NatsConnection } from '@nats-io/transport-node';

import { faultImpossible } from './nats-faults.ts';
import type { NatsFixture, NatsFixtureOptions } from './nats-server.ts';

/**
 * Uses the server of `CABINET_TEST_NATS_URL` (several addresses of one cluster with commas between), with the monitoring
 * addresses of `CABINET_TEST_NATS_MONITOR_URL`, if a test needs them. Nothing is done to the server itself; `stop` deletes
 * the streams that were made since the start, so the server should be the tests' own.
 *
 * @throws Error when the test wants a server of a certain kind, which nobody can make of a given one
 */
export async function useExistingNats(options: NatsFixtureOptions): Promise<NatsFixture> {
  const urls = listOf('CABINET_TEST_NATS_URL');
  if (urls.length === 0) throw new Error('CABINET_TEST_NATS=url needs the address in CABINET_TEST_NATS_URL');
  const wishes = [
    options.sync === 'always' && 'sync: always',
    options.jetStream === false && 'no JetStream',
    options.extraConfig !== undefined && `the configuration ${options.extraConfig}`,
    (options.servers ?? 1) > urls.length && `${options.servers} servers`,
  ].filter((wish) => wish !== false);
  if (wishes.length > 0) {
    throw new Error(
      `this test needs ${wishes.join(' and ')}, which the server of CABINET_TEST_NATS_URL cannot be told: use CABINET_TEST_NATS=binary`,
    );
  }
  const connection = await connect({ servers: [...urls], name: 'test-fixture' });
  return new ExistingNats(urls, listOf('CABINET_TEST_NATS_MONITOR_URL'), connection, await streamNames(connection));
}

class ExistingNats implements NatsFixture {
  readonly provider = 'url';
  readonly urls: readonly string[];
  readonly monitorUrls: readonly string[];
  readonly #connection: NatsConnection;
  readonly #before: ReadonlySet<string>;

  constructor(
    urls: readonly string[],
    monitorUrls: readonly string[],
    connection: NatsConnection,
    before: readonly string[],
  ) {
    this.urls = urls;
    this.monitorUrls = monitorUrls;
    this.#connection = connection;
    this.#before = new Set(before);
  }

  get url(): string {
    return this.urls[0] ?? '';
  }

  pid(): undefined {
    return undefined;
  }

  async kill(): Promise<void> {
    throw faultImpossible(this.provider, 'kill');
  }

  async freeze(): Promise<void> {
    throw faultImpossible(this.provider, 'freeze');
  }

  async resume(): Promise<void> {
    throw faultImpossible(this.provider, 'resume');
  }

  async enterLameDuckMode(): Promise<void> {
    throw faultImpossible(this.provider, 'enterLameDuckMode');
  }

  async partition(): Promise<void> {
    throw faultImpossible(this.provider, 'partition');
  }

  async heal(): Promise<void> {
    throw faultImpossible(this.provider, 'heal');
  }

  async restart(): Promise<void> {
    throw faultImpossible(this.provider, 'restart');
  }

  async log(): Promise<string> {
    return '';
  }

  async stop(): Promise<void> {
    if (this.#connection.isClosed()) return;
    for (const name of await streamNames(this.#connection)) {
      if (!this.#before.has(name)) await this.#connection.request(`$JS.API.STREAM.DELETE.${name}`, '');
    }
    await this.#connection.close();
  }
}

async function streamNames(connection: NatsConnection): Promise<readonly string[]> {
  const names: string[] = [];
  for (;;) {
    const answer = await connection.request('$JS.API.STREAM.NAMES', JSON.stringify({ offset: names.length }));
    const { streams, total = 0 } = answer.json<{ readonly streams?: readonly string[]; readonly total?: number }>();
    names.push(...(streams ?? []));
    if ((streams ?? []).length === 0 || names.length >= total) return names;
  }
}

function listOf(variable: string): readonly string[] {
  return (process.env[variable] ?? '')
    .split(',')
    .map((url) => url.trim())
    .filter((url) => url !== '');
}
