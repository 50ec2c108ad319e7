import { EngineError } from '../../core/errors.ts';
import type { Principal } from '../principal.ts';
import { isOwnOrigin } from '../request-guard.ts';
import type { AdminAccess } from '../server.ts';
import { livePath, liveProtocol, ticketPrefix } from './protocol.ts';

/** Most subprotocols that a client may offer. */
const maximumProtocols = 8;

/**
 * Who asks for a socket, if he may have one: from this server's own page, in words that this server speaks, with a ticket, a bearer
 * token or a session.
 *
 * @throws EngineError `NOT_FOUND`, `ORIGIN_REFUSED`, `UNSUPPORTED_VERSION`, `UNAUTHENTICATED`
 */
export function checkHandshake(
  request: { readonly url: string; readonly headers: Headers; readonly isTls: boolean },
  access: Pick<AdminAccess, 'identify' | 'redeem'>,
): Principal {
  const { url, headers, isTls } = request;
  // No query: what is secret would stand in logs, and nothing else is asked.
  if (url !== livePath) throw new EngineError('NOT_FOUND', 'there is no socket at that address');
  const origin = headers.get('origin');
  if (origin === null || !isOwnOrigin(origin, headers.get('host') ?? '', isTls)) {
    throw new EngineError('ORIGIN_REFUSED', "the socket is for this server's own page: Origin", {
      field: 'Origin',
      got: origin ?? 'nothing',
      hint: "programs send this server's URL as Origin",
    });
  }
  const offered = (headers.get('sec-websocket-protocol') ?? '').split(',').map((name) => name.trim());
  if (!offered.includes(liveProtocol) || offered.length > maximumProtocols) {
    throw new EngineError('UNSUPPORTED_VERSION', `the subprotocol ${liveProtocol} must be offered`, {
      field: 'Sec-WebSocket-Protocol',
      limit: liveProtocol,
    });
  }
  const tickets = offered.filter((name) => name.startsWith(ticketPrefix));
  const [ticket] = tickets;
  // A ticket, good or bad, is looked at alone; so is one of two, which nobody honest sends.
  const principal =
    ticket === undefined
      ? access.identify(headers)
      : tickets.length === 1
        ? access.redeem(ticket.slice(ticketPrefix.length))
        : null;
  if (principal === null) throw new EngineError('UNAUTHENTICATED', 'a ticket, a bearer token or a session is needed');
  return principal;
}
