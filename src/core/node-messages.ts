import { asError, EngineError, errorCatalog, type ErrorCode, type ErrorReport } from './errors.ts';
import { parseNodeId, parsePortName, type Millis, type NodeId, type PortName } from './ids.ts';
import type { JsonValue } from './json.ts';
import { parseStrictJson } from './strict-json.ts';

// What nodes say to each other, and to an operator who asks: small JSON documents, so that any NATS client can ask.

/** One life of a node, as it is named in a message. */
export interface NodeLife {
  readonly nodeId: NodeId;
  readonly incarnation: string;
}

/**
 * A request to a node.
 *
 * - `node.status`: sent by peers as a heartbeat and by an operator; changes nothing. What operators want is no message but stands
 *   in the cluster's orders, which nodes that are down find too.
 */
export interface NodeCommand {
  readonly type: 'node.status';
  /** The life that is meant, where it matters which one answers; the one that is there answers all the same, but later. */
  readonly incarnation?: string | undefined;
}

/** The stages of a node in numbers. */
export interface StageLoad {
  /** Drivers that run, and most that may. */
  readonly running: number;
  readonly limit: number;
  /** Stages that stand in line, and those of them that are suspected of killing their node and start one at a time. */
  readonly waiting: number;
  readonly suspectsWaiting: number;
}

/** A port that a node holds to fail, and so holds its stages back. */
export interface OpenBreaker {
  readonly port: PortName;
  /** When one attempt may try it, by the node's clock; null while one does. */
  readonly probeAt: Millis | null;
}

/** Most open breakers that a node names, in the order of their ports; {@link NodeStatus.openBreakerCount} has them all. */
export const maximumNamedBreakers = 32;

/** What a node tells of itself. */
export interface NodeStatus extends NodeLife {
  readonly capacity: number;
  readonly draining: boolean;
  readonly cordoned: boolean;
  readonly leaseIsGood: boolean;
  /** Shards that it serves, that it hands over now, and that it could not open. */
  readonly owned: number;
  readonly handingOver: number;
  readonly failing: number;
  /** Worst lateness of its event loop in the last 10 s; 0 when it does not know, or is of an older version. */
  readonly loopLagMs: number;
  /** Left out by an older version, as what follows. */
  readonly stages?: StageLoad;
  readonly openBreakers?: readonly OpenBreaker[];
  readonly openBreakerCount?: number;
}

/** A node's answer. */
export type NodeReply =
  { readonly kind: 'status'; readonly status: NodeStatus } | { readonly kind: 'error'; readonly error: ErrorReport };

/** Largest of these documents. */
const maximumNodeMessageBytes = 16 * 1024;

/** Any of these documents as bytes. */
export function encodeNodeMessage(message: NodeCommand | NodeReply | NodeLife): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}

/** The command in a request; an empty one asks for the status. @throws EngineError `INVALID_MESSAGE`, `PAYLOAD_TOO_LARGE` */
export function decodeNodeCommand(body: Uint8Array): NodeCommand {
  if (body.length === 0) return { type: 'node.status' };
  const { type, incarnation } = parseObject(body);
  if (type !== 'node.status' || (incarnation !== undefined && typeof incarnation !== 'string')) {
    throw malformed('a node command', type);
  }
  return incarnation === undefined ? { type } : { type, incarnation };
}

/** A node's answer. @throws EngineError `INVALID_MESSAGE`, `PAYLOAD_TOO_LARGE` */
export function decodeNodeReply(body: Uint8Array): NodeReply {
  const value = parseObject(body);
  if (value['kind'] === 'status') return { kind: 'status', status: parseStatus(value['status']) };
  if (value['kind'] === 'error') return { kind: 'error', error: parseError(value['error']) };
  throw malformed("a node's answer", value['kind']);
}

/** The life that a notice is about or from. @throws EngineError `INVALID_MESSAGE`, `PAYLOAD_TOO_LARGE` */
export function decodeNodeLife(body: Uint8Array): NodeLife {
  return parseLife(parseObject(body));
}

type JsonFields = Exclude<Extract<JsonValue, object>, readonly JsonValue[]>;

function parseObject(body: Uint8Array): JsonFields {
  const value = parseStrictJson(body, maximumNodeMessageBytes);
  if (isFields(value)) return value;
  throw malformed('a node message', value);
}

function parseLife({ nodeId, incarnation }: JsonFields): NodeLife {
  if (typeof incarnation !== 'string') throw malformed('an incarnation', incarnation);
  try {
    return { nodeId: parseNodeId(nodeId), incarnation };
  } catch (thrown) {
    throw new EngineError('INVALID_MESSAGE', asError(thrown).message, { cause: thrown });
  }
}

function parseStatus(value: JsonValue | undefined): NodeStatus {
  if (!isFields(value)) throw malformed("a node's status", value);
  const count = (name: string): number => parseCount(value, name);
  const flag = (name: string): boolean => {
    const found = value[name];
    if (typeof found !== 'boolean') throw malformed(name, found);
    return found;
  };
  return {
    ...parseLife(value),
    capacity: count('capacity'),
    draining: flag('draining'),
    cordoned: flag('cordoned'),
    leaseIsGood: flag('leaseIsGood'),
    owned: count('owned'),
    handingOver: count('handingOver'),
    failing: count('failing'),
    loopLagMs: value['loopLagMs'] === undefined ? 0 : count('loopLagMs'),
    ...(value['stages'] === undefined ? {} : { stages: parseStages(value['stages']) }),
    ...(value['openBreakers'] === undefined ? {} : { openBreakers: parseBreakers(value['openBreakers']) }),
    ...(value['openBreakerCount'] === undefined ? {} : { openBreakerCount: count('openBreakerCount') }),
  };
}

function parseStages(value: JsonValue): StageLoad {
  if (!isFields(value)) throw malformed('stages', value);
  return {
    running: parseCount(value, 'running'),
    limit: parseCount(value, 'limit'),
    waiting: parseCount(value, 'waiting'),
    suspectsWaiting: parseCount(value, 'suspectsWaiting'),
  };
}

function parseBreakers(value: JsonValue): readonly OpenBreaker[] {
  if (!Array.isArray(value) || value.length > maximumNamedBreakers) throw malformed('openBreakers', value);
  return value.map((breaker: JsonValue) => {
    if (!isFields(breaker)) throw malformed('openBreakers', breaker);
    const { port, probeAt } = breaker;
    return { port: parseName(port), probeAt: probeAt === null ? null : parseCount(breaker, 'probeAt') };
  });
}

function parseName(value: JsonValue | undefined): PortName {
  try {
    return parsePortName(value, 'port');
  } catch (thrown) {
    throw new EngineError('INVALID_MESSAGE', asError(thrown).message, { cause: thrown });
  }
}

function parseCount(value: JsonFields, name: string): number {
  const found = value[name];
  if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < 0) throw malformed(name, found);
  return found;
}

function parseError(value: JsonValue | undefined): ErrorReport {
  if (!isFields(value)) throw malformed('an error', value);
  const { code, message } = value;
  if (typeof code !== 'string' || !Object.hasOwn(errorCatalog, code) || typeof message !== 'string') {
    throw malformed('an error', code);
  }
  return new EngineError(code as ErrorCode, message).toReport();
}

function isFields(value: JsonValue | undefined): value is JsonFields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(what: string, got: unknown): EngineError {
  return new EngineError('INVALID_MESSAGE', `${what} cannot be read`, { got });
}
