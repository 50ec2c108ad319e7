import type { ShardCommand } from './messages.ts';
import type { Reply } from './replies.ts';

/** The protocol version that this build speaks. */
export const protocolVersion = 1;
/** Most commands in one request. */
export const maximumCommandsPerRequest = 256;

/** What a client sends to a shard's subject, as MessagePack: commands of tasks of that shard, answered together, in order. */
export interface RequestEnvelope {
  readonly v: typeof protocolVersion;
  readonly commands: readonly ShardCommand[];
}

/**
 * The answer: one reply a command, in the same order. A request that takes answers in parts has several, as the replies come, and each
 * tells by `of` which commands they are to.
 */
export interface ReplyEnvelope {
  readonly v: typeof protocolVersion;
  readonly replies: readonly Reply[];
  /** Places of commands in the request, from 0. */
  readonly of?: readonly number[];
}
