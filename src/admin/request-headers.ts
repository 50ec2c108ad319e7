import type { IncomingMessage } from 'node:http';

/** The headers of a request outside of the API's own handling, such as an upgrade. */
export function requestHeaders({ headers }: IncomingMessage): Headers {
  const pairs = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
  );
  return new Headers(pairs);
}
