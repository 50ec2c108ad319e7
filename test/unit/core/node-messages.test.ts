import { describe, expect, it } from 'vitest';

import { EngineError } from '../../../src/core/errors.ts';
import {
  decodeNodeCommand,
  decodeNodeLife,
  decodeNodeReply,
  encodeNodeMessage,
  maximumNamedBreakers,
  type NodeReply,
} from '../../../src/core/node-messages.ts';
import type { PortName } from '../../../src/core/ids.ts';
import { nodeOf } from '../../support/shard-kit.ts';

const status = {
  nodeId: nodeOf('n-1'),
  incarnation: 'i-1',
  capacity: 1,
  draining: false,
  cordoned: true,
  leaseIsGood: true,
  owned: 4,
  handingOver: 1,
  failing: 0,
  loopLagMs: 12,
};
const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

describe('a node command', () => {
  it('is read as it was written, with or without the life that is meant', () => {
    const type = 'node.status';
    expect(decodeNodeCommand(encodeNodeMessage({ type }))).toEqual({ type });
    const named = { type, incarnation: 'i-1' } as const;
    expect(decodeNodeCommand(encodeNodeMessage(named))).toEqual(named);
  });

  it('that is empty asks for the status', () => {
    expect(decodeNodeCommand(new Uint8Array())).toEqual({ type: 'node.status' });
  });

  it.each([
    ['of another type', bytes({ type: 'node.drain' })],
    ['without a type', bytes({})],
    ['for a life that is no text', bytes({ type: 'node.status', incarnation: 7 })],
    ['that is a list', bytes(['node.status'])],
    ['that is no JSON', Buffer.from('node.status')],
  ])('INVALID_MESSAGE: %s is refused', (_what, body) => {
    expect(() => decodeNodeCommand(body)).toThrow(expect.objectContaining({ code: 'INVALID_MESSAGE' }));
  });

  it('PAYLOAD_TOO_LARGE: of more than 16 KiB is not even read', () => {
    const body = bytes({ type: 'node.status', padding: 'x'.repeat(20_000) });
    expect(() => decodeNodeCommand(body)).toThrow(expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' }));
  });
});

describe("a node's answer", () => {
  it('is read as it was written: a status, or an error with its code', () => {
    const replies: readonly NodeReply[] = [
      { kind: 'status', status },
      { kind: 'error', error: new EngineError('NOT_ALLOWED', 'the node stops').toReport() },
    ];
    for (const reply of replies) expect(decodeNodeReply(encodeNodeMessage(reply))).toEqual(reply);
  });

  it('of an older node, which does not know its lag, is read as if it had none', () => {
    const { loopLagMs: _, ...older } = status;
    expect(decodeNodeReply(bytes({ kind: 'status', status: older }))).toEqual({
      kind: 'status',
      status: { ...status, loopLagMs: 0 },
    });
  });

  it('has its stages in numbers and the ports that it holds to fail, where it is new enough to tell', () => {
    const told = {
      ...status,
      stages: { running: 3, limit: 256, waiting: 2, suspectsWaiting: 1 },
      openBreakers: [
        { port: 'board' as PortName, probeAt: 1_700_000_000_000 },
        { port: 'mail' as PortName, probeAt: null },
      ],
      openBreakerCount: 40,
    };
    const reply: NodeReply = { kind: 'status', status: told };
    expect(decodeNodeReply(encodeNodeMessage(reply))).toEqual(reply);
  });

  it('has room for as many failing ports as it may name, each of the longest name', () => {
    const openBreakers = Array.from({ length: maximumNamedBreakers }, () => {
      return { port: 'p'.repeat(63) as PortName, probeAt: Number.MAX_SAFE_INTEGER };
    });
    const reply: NodeReply = { kind: 'status', status: { ...status, openBreakers, openBreakerCount: 9_999 } };
    expect(decodeNodeReply(encodeNodeMessage(reply))).toEqual(reply);
  });

  it.each([
    ['with stages that are none', { kind: 'status', status: { ...status, stages: 3 } }],
    ['with a stage count that is missing', { kind: 'status', status: { ...status, stages: { running: 1 } } }],
    ['with breakers that are no list', { kind: 'status', status: { ...status, openBreakers: 'board' } }],
    [
      'with a port that cannot be',
      { kind: 'status', status: { ...status, openBreakers: [{ port: 'A', probeAt: 1 }] } },
    ],
    [
      'with a probe that is no time',
      { kind: 'status', status: { ...status, openBreakers: [{ port: 'a', probeAt: 'x' }] } },
    ],
    [
      'with more breakers than it may name',
      {
        kind: 'status',
        status: { ...status, openBreakers: Array.from({ length: 33 }, () => ({ port: 'a', probeAt: null })) },
      },
    ],
    ['of another kind', { kind: 'maybe' }],
    ['without its status', { kind: 'status' }],
    ['of a node that cannot be', { kind: 'status', status: { ...status, nodeId: 'a.b' } }],
    ['of no incarnation', { kind: 'status', status: { ...status, incarnation: null } }],
    ['with a count below zero', { kind: 'status', status: { ...status, owned: -1 } }],
    ['with a flag that is a number', { kind: 'status', status: { ...status, draining: 1 } }],
    ['with a lag that is none', { kind: 'status', status: { ...status, loopLagMs: 'much' } }],
    ['with an unknown error code', { kind: 'error', error: { code: 'OOPS', message: 'x' } }],
    ['with an error without words', { kind: 'error', error: { code: 'INTERNAL' } }],
    ['with no error', { kind: 'error' }],
  ])('INVALID_MESSAGE: %s is refused', (_what, value) => {
    expect(() => decodeNodeReply(bytes(value))).toThrow(expect.objectContaining({ code: 'INVALID_MESSAGE' }));
  });
});

describe('the life that a notice names', () => {
  it('is read as it was written', () => {
    const life = { nodeId: nodeOf('n-1'), incarnation: 'i-1' };
    expect(decodeNodeLife(encodeNodeMessage(life))).toEqual(life);
  });

  it.each([[{}], [{ nodeId: 'n-1' }], [{ nodeId: '', incarnation: 'i' }], [null]])(
    'INVALID_MESSAGE: %j is refused',
    (value) => {
      expect(() => decodeNodeLife(bytes(value))).toThrow(expect.objectContaining({ code: 'INVALID_MESSAGE' }));
    },
  );
});
