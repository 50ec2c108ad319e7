import type { Logger } from '../ports/logger.ts';

/** Drops every line: a library writes nowhere unless it is given a place. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
