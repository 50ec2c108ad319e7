import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { EngineError } from '../../core/errors.ts';
import type { InspectionGateway } from '../../inspector/inspection-gateway.ts';
import type { InspectionViewer } from '../../inspector/inspection-session.ts';
import type { Random } from '../../ports/random.ts';
import type { UpgradeHandler } from '../http-server.ts';
import { hasRole, type Principal } from '../principal.ts';
import { refuseUpgrade } from '../refuse-upgrade.ts';
import { checkOrigin } from '../request-guard.ts';
import { requestHeaders } from '../request-headers.ts';
import type { AdminAccess } from '../server.ts';

/** Before a ticket that is offered as a subprotocol: a page can send no header of its own. */
const ticketPrefix = 'ticket.';

/** Lets viewers in to the inspection gateway: who they are, whether their page is this server's own, and what they may see. */
export function inspectionUpgrade(deps: {
  readonly gateway: InspectionGateway;
  readonly access: AdminAccess;
  readonly random: Random;
}): UpgradeHandler {
  const { gateway, access, random } = deps;
  return (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Its close follows, and there is nobody to tell.
    socket.on('error', () => undefined);
    const isTls = 'encrypted' in request.socket;
    try {
      const principal = identifyViewer({ url: request.url ?? '', headers: requestHeaders(request), isTls }, access);
      gateway.take(request, socket, head, viewerOf(principal, access));
    } catch (thrown) {
      refuseUpgrade(socket, thrown, { requestId: random.id(), isTls });
    }
  };
}

/**
 * Who asks to look: by a ticket, in the query or as a subprotocol, which programs without headers of their own send too; by a bearer
 * token; or by a session, whose cookie any page of any origin sends, so that it needs this server's own Origin.
 *
 * @throws EngineError `UNAUTHENTICATED`, `ORIGIN_REFUSED`
 */
export function identifyViewer(
  request: { readonly url: string; readonly headers: Headers; readonly isTls: boolean },
  access: Pick<AdminAccess, 'identify' | 'redeem'>,
): Principal {
  const { headers, isTls } = request;
  checkOrigin({ isMutation: false, headers, isTls }, null);
  const tickets = ticketsOf(request.url, headers);
  const [ticket] = tickets;
  // A ticket, good or bad, is looked at alone; so is one of two, which nobody honest sends.
  const principal =
    ticket === undefined ? access.identify(headers) : tickets.length === 1 ? access.redeem(ticket) : null;
  if (principal === null) throw new EngineError('UNAUTHENTICATED', 'a ticket, a bearer token or a session is needed');
  if (ticket === undefined && principal.via === 'session' && headers.get('origin') === null) {
    throw new EngineError('ORIGIN_REFUSED', "a session's socket needs the Origin of this server's own page", {
      field: 'Origin',
      got: 'nothing',
    });
  }
  return principal;
}

function ticketsOf(url: string, headers: Headers): readonly string[] {
  const offered = (headers.get('sec-websocket-protocol') ?? '').split(',').map((name) => name.trim());
  const inQuery = new URL(url, 'ws://localhost').searchParams.getAll('ticket');
  return [
    ...inQuery,
    ...offered.filter((name) => name.startsWith(ticketPrefix)).map((name) => name.slice(ticketPrefix.length)),
  ];
}

function viewerOf(principal: Principal, access: AdminAccess): InspectionViewer {
  const mayShowPayloads = hasRole(principal.role, 'operator');
  return {
    id: principal.tokenId,
    mayShowPayloads,
    watch: (onEnded) =>
      access.watch(principal, (now) => {
        // What he asked for may hold more than another role may see: he comes again and asks anew.
        if (now === null || hasRole(now.role, 'operator') !== mayShowPayloads) onEnded();
      }),
  };
}
