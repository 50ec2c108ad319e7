/** One frame of the NATS client protocol, with the very bytes that it came in. */
export type NatsFrame =
  | { readonly kind: 'line'; readonly verb: string; readonly text: string; readonly raw: Buffer }
  | {
      readonly kind: 'message';
      readonly verb: 'PUB' | 'HPUB' | 'MSG' | 'HMSG';
      readonly subject: string;
      readonly reply: string | null;
      readonly raw: Buffer;
    };

const crlf = Buffer.from('\r\n');
const messageVerbs: ReadonlySet<string> = new Set(['PUB', 'HPUB', 'MSG', 'HMSG']);

/** Splits one direction of a NATS connection into its frames. */
export class NatsFrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The frames that are whole with these bytes. */
  read(bytes: Buffer): readonly NatsFrame[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: NatsFrame[] = [];
    for (let frame = this.#next(); frame !== null; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next(): NatsFrame | null {
    const lineEnd = this.#rest.indexOf(crlf);
    if (lineEnd === -1) return null;
    const text = this.#rest.subarray(0, lineEnd).toString('latin1');
    const words = text.split(/\s+/);
    const verb = (words[0] ?? '').toUpperCase();
    const headBytes = lineEnd + crlf.length;
    if (!messageVerbs.has(verb)) return { kind: 'line', verb, text, raw: this.#take(headBytes) };
    const wholeBytes = headBytes + Number(words.at(-1)) + crlf.length;
    if (this.#rest.length < wholeBytes) return null;
    // PUB subject [reply] size; HPUB subject [reply] head size; MSG subject sid [reply] size; HMSG subject sid [reply] head size.
    const sizes = verb.startsWith('H') ? 2 : 1;
    const names = words.slice(1, -sizes);
    const replyAt = verb.endsWith('PUB') ? 1 : 2;
    return {
      kind: 'message',
      verb: verb as 'PUB',
      subject: names[0] ?? '',
      reply: names[replyAt] ?? null,
      raw: this.#take(wholeBytes),
    };
  }

  #take(length: number): Buffer {
    const taken = Buffer.from(this.#rest.subarray(0, length));
    this.#rest = this.#rest.subarray(length);
    return taken;
  }
}
