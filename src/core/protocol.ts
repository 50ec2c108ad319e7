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

/** The answer: one reply a command, in the same order. */
export interface ReplyEnvelope {
  readonly v: typeof protocolVersion;
  readonly replies: readonly Reply[];
}
