import type { Reply } from '../core/replies.ts';
import type { BusRequest } from '../ports/bus.ts';
import { encodeReplies } from './request-codec.ts';

/** Takes the reply to each command of a request, in any order, each once. */
export interface RequestAnswers {
  add(index: number, reply: Reply): void;
}

/** One answer when all replies are there. */
export class WholeAnswer implements RequestAnswers {
  readonly #request: BusRequest;
  readonly #maximumBytes: number;
  readonly #replies: Reply[];
  #missing: number;

  constructor(request: BusRequest, count: number, maximumBytes: number) {
    this.#request = request;
    this.#maximumBytes = maximumBytes;
    this.#replies = Array.from({ length: count });
    this.#missing = count;
  }

  add(index: number, reply: Reply): void {
    this.#replies[index] = reply;
    this.#missing -= 1;
    if (this.#missing === 0) this.#request.reply(encodeReplies(this.#replies, this.#maximumBytes));
  }
}

/** An answer for the replies that come together, and the next for those that come later: nobody waits for a neighbor. */
export class AnswersInParts implements RequestAnswers {
  readonly #request: BusRequest;
  readonly #maximumBytes: number;
  #missing: number;
  #replies: Reply[] = [];
  #of: number[] = [];

  constructor(request: BusRequest, count: number, maximumBytes: number) {
    this.#request = request;
    this.#maximumBytes = maximumBytes;
    this.#missing = count;
  }

  add(index: number, reply: Reply): void {
    this.#replies.push(reply);
    this.#of.push(index);
    this.#missing -= 1;
    if (this.#missing === 0) this.#flush();
    // What the same commit has settled is settled in the same job.
    else if (this.#replies.length === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    if (this.#replies.length === 0) return;
    const body = encodeReplies(this.#replies, this.#maximumBytes, this.#of);
    this.#replies = [];
    this.#of = [];
    if (this.#missing === 0) this.#request.reply(body);
    else this.#request.replyPart?.(body);
  }
}
