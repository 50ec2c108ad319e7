import type { Clock } from '../ports/clock.ts';
import type { Secrets } from '../ports/secrets.ts';
import { hashOf } from './access-tokens.ts';
import type { Principal } from './principal.ts';

/** How long a ticket may wait to be used. */
export const ticketLifeMs = 30_000;
/** Most tickets that wait; the oldest makes room. */
const maximumTickets = 1_000;
const ticketBytes = 32;

/**
 * Tickets for WebSocket handshakes, which carry no headers of a page's choice: single use, soon over, and not a token. Who redeems one
 * is asked for by its token id again, as the token may have been revoked since.
 */
export class Tickets {
  readonly #clock: Clock;
  readonly #secrets: Secrets;
  readonly #waiting = new Map<string, { readonly principal: Principal; readonly endsAtMs: number }>();

  constructor(deps: { readonly clock: Clock; readonly secrets: Secrets }) {
    this.#clock = deps.clock;
    this.#secrets = deps.secrets;
  }

  issue(principal: Principal): { readonly ticket: string; readonly lifeMs: number } {
    const ticket = Buffer.from(this.#secrets.bytes(ticketBytes)).toString('base64url');
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size >= maximumTickets && oldest !== undefined) this.#waiting.delete(oldest);
    this.#waiting.set(hashOf(ticket), { principal, endsAtMs: this.#clock.monotonicMs() + ticketLifeMs });
    return { ticket, lifeMs: ticketLifeMs };
  }

  /** Who the ticket was given to; null when it is unknown, over or used. */
  redeem(ticket: string): Principal | null {
    const hash = hashOf(ticket);
    const found = this.#waiting.get(hash);
    this.#waiting.delete(hash);
    return found !== undefined && this.#clock.monotonicMs() < found.endsAtMs ? found.principal : null;
  }
}
