/** Bounds of an inspection gateway. */
export interface GatewayLimits {
  readonly maximumSessions: number;
  /** Of one principal. */
  readonly maximumSessionsPerViewer: number;
  /** Frames that one viewer is sent in a second; more wait, and when too many wait the oldest are dropped and counted. */
  readonly framesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Bytes that may lie between the gateway and a viewer. */
  readonly maximumBufferedBytes: number;
  /** A viewer that takes nothing of a full buffer for so long is closed. */
  readonly stallMs: number;
  /** How often a viewer must prove that it is alive. */
  readonly pingMs: number;
  /** Messages that a viewer may send in all: the protocol asks for none. */
  readonly maximumInboundMessages: number;
}

/** The bounds when nothing else is said. */
export const gatewayDefaults: GatewayLimits = {
  maximumSessions: 64,
  maximumSessionsPerViewer: 16,
  framesPerSecond: 2_000,
  bytesPerSecond: 4 * 1024 * 1024,
  maximumBufferedBytes: 1024 * 1024,
  stallMs: 10_000,
  pingMs: 10_000,
  maximumInboundMessages: 100,
};

/** Largest message that a viewer may send, in bytes. */
export const maximumInboundBytes = 1_024;

/** Why the gateway ends a connection: the close frame's code; its reason is `ENDED` or an error's code. */
export const gatewayCloseCodes = {
  /** The task is finished, and all of it was told. */
  ended: 1000,
  goingAway: 1001,
  /** `SLOW_CONSUMER`: nothing was taken for too long. Come again. */
  slowConsumer: 4008,
  /** `UNAUTHENTICATED`: the credential has ended. */
  unauthenticated: 4401,
  /** `TASK_NOT_FOUND`. */
  notFound: 4404,
  /** `RATE_LIMITED`: the viewer sends what nobody asked for. */
  rateLimited: 4429,
  /** Any other error. */
  failed: 4500,
} as const;
