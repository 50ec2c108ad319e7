import type { NatsFixture, NatsProvider } from './nats-server.ts';

/** What a test can do to a server. */
export type NatsFaultName = keyof Pick<
  NatsFixture,
  'kill' | 'freeze' | 'resume' | 'enterLameDuckMode' | 'partition' | 'heal' | 'restart'
>;

const reasons: Readonly<Record<NatsProvider, string>> = {
  binary:
    'servers that are processes of one machine cannot be cut off from each other: use CABINET_TEST_NATS=testcontainers',
  testcontainers: 'containers cannot do it: use CABINET_TEST_NATS=binary',
  url: 'the server of CABINET_TEST_NATS_URL belongs to somebody else, so nothing is done to it: use CABINET_TEST_NATS=binary',
};

/** The error of a fault that a provider cannot make. */
export function faultImpossible(provider: NatsProvider, fault: NatsFaultName): Error {
  return new Error(`${fault} is not possible: ${reasons[provider]}`);
}
