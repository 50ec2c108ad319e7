import { EngineError } from '../core/errors.ts';
import { protocolVersion } from '../core/protocol.ts';

/** One registered pipeline version. */
export interface PipelineSummary {
  readonly name: string;
  readonly version: number;
  readonly fingerprint: string;
  readonly stages: readonly string[];
}

/** What a node tells of the engine it belongs to. */
export interface EngineInfo {
  readonly namespace: string;
  readonly shardCount: number;
  readonly node: string;
  /** The engine's own version. */
  readonly version: string;
  /** Protocol versions that the node speaks. */
  readonly protocol: { readonly min: number; readonly max: number };
  /** Largest request in bytes. */
  readonly maximumRequestBytes: number;
  readonly pipelines: readonly PipelineSummary[];
  /** The NATS server, as the node sees it. */
  readonly server?: { readonly name?: string; readonly version?: string; readonly durability?: string };
}

/**
 * An `info` answer that a client can work with: what routing depends on is checked, the rest is for people.
 *
 * @throws EngineError `INVALID_MESSAGE`; `UNSUPPORTED_VERSION` when the node does not speak this client's protocol
 */
export function parseEngineInfo(value: unknown): EngineInfo {
  const info = (typeof value === 'object' && value !== null ? value : {}) as Partial<EngineInfo>;
  const { namespace, shardCount, protocol, maximumRequestBytes } = info;
  const isUsable =
    typeof namespace === 'string' &&
    isCount(shardCount) &&
    isCount(maximumRequestBytes) &&
    isCount(protocol?.min) &&
    isCount(protocol.max);
  if (!isUsable) throw new EngineError('INVALID_MESSAGE', "the engine's info is not of this protocol");
  if (protocol.min > protocolVersion || protocol.max < protocolVersion) {
    throw new EngineError('UNSUPPORTED_VERSION', `the engine does not speak protocol ${protocolVersion}`, {
      field: 'v',
      limit: `${protocol.min} to ${protocol.max}`,
      got: protocolVersion,
      hint: 'upgrade the older of client and engine',
    });
  }
  return info as EngineInfo;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}
