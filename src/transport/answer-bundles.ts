import { asError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { type AnswerFrame, answerOverheadBytes, frameAnswers } from './answer-frames.ts';
import type { NatsLink } from './nats-connection.ts';

interface Bundle {
  /** A reply subject of one of the requests; all of them are the same asker's, who tells the answers by their numbers. */
  subject: string;
  frames: AnswerFrame[];
  bytes: number;
}

/** Gathers the answers of a turn that go to one asker, so that they are one message. */
export class AnswerBundles {
  readonly #link: NatsLink;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** By the inbox, which is a reply subject without its last token. */
  readonly #byInbox = new Map<string, Bundle>();
  #isScheduled = false;

  constructor(deps: { readonly link: NatsLink; readonly clock: Clock; readonly logger: Logger }) {
    this.#link = deps.link;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
  }

  /**
   * Sends the answer at the end of the turn, after those that were added before it.
   *
   * @param isAlone - it goes to its own reply subject in a message of its own
   */
  add(replySubject: string, frame: AnswerFrame, isAlone = false): void {
    const inbox = isAlone ? replySubject : replySubject.slice(0, replySubject.lastIndexOf('.'));
    const size = answerOverheadBytes + frame.body.length;
    const known = this.#byInbox.get(inbox);
    if (known === undefined) {
      this.#byInbox.set(inbox, { subject: replySubject, frames: [frame], bytes: size });
    } else {
      if (known.bytes + size > this.#link.maximumPayloadBytes) this.#send(known);
      known.subject = replySubject;
      known.frames.push(frame);
      known.bytes += size;
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.defer(() => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    for (const bundle of this.#byInbox.values()) this.#send(bundle);
    this.#byInbox.clear();
  }

  #send(bundle: Bundle): void {
    const { subject, frames } = bundle;
    bundle.frames = [];
    bundle.bytes = 0;
    // An answer published while the link is down would be lost, or come when the asker has given up: the asker repeats.
    if (!this.#link.isConnected) return;
    try {
      this.#link.connection.publish(subject, frameAnswers(frames));
    } catch (thrown) {
      this.#logger.error({ err: asError(thrown), subject }, 'a reply cannot be sent');
    }
  }
}
