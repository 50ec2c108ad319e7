import type { Bus, BusRequest, BusService } from '../../src/ports/bus.ts';
import type { Mortal } from './crash-points.ts';

/** One process's way to the bus: what it asks, what it serves and what it answers are calls at which it may die. */
export class MortalBus implements Bus {
  readonly #inner: Bus;
  readonly #mortal: Mortal;
  readonly #services = new Set<BusService>();

  constructor(inner: Bus, mortal: Mortal) {
    this.#inner = inner;
    this.#mortal = mortal;
  }

  readonly request: Bus['request'] = (subject, body, options) =>
    this.#mortal.tap(`bus.request ${kindOf(subject)}`, () => this.#inner.request(subject, body, options));

  readonly serve: Bus['serve'] = (subject, handler, options) => {
    const name = kindOf(subject);
    return this.#mortal.tap(`bus.serve ${name}`, async () => {
      const service = await this.#inner.serve(
        subject,
        (request) => this.#mortal.tapNow(`bus.receive ${name}`, () => handler(this.#answering(request, name))),
        options,
      );
      this.#services.add(service);
      // Dead before the server's answer came: the server drops what a closed link has subscribed to.
      if (this.#mortal.isDead) await service.stop();
      return { stop: () => this.#mortal.tap(`bus.stop ${name}`, () => service.stop()) };
    });
  };

  /** The link is gone, and with it all that was served over it. */
  cut(): void {
    for (const service of this.#services) void service.stop();
  }

  #answering(request: BusRequest, name: string): BusRequest {
    const { subject, body, headers, canReply } = request;
    return {
      subject,
      body,
      headers,
      canReply,
      reply: (reply, replyHeaders) =>
        this.#mortal.tapNow(`bus.reply ${name}`, () => request.reply(reply, replyHeaders)),
    };
  }
}

/** What a subject is: `shard`, `node` or `cluster`, whichever one. */
function kindOf(subject: string): string {
  return subject.split('.').at(-2) ?? subject;
}
