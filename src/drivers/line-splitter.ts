import { StringDecoder } from 'node:string_decoder';

/** Cuts a stream of bytes into lines of UTF-8, holding no more of a line than its bound. */
export class LineSplitter {
  readonly #maximumLength: number;
  readonly #onLine: (line: string, isCut: boolean) => void;
  readonly #onCut: () => void;
  readonly #decoder = new StringDecoder('utf8');
  #held: string[] = [];
  #heldLength = 0;
  #isCut = false;

  /**
   * @param maximumLength - longest line in characters; what is over it is dropped, and the line told as cut
   * @param onCut - called when a line goes over its bound: it may have no end
   */
  constructor(
    maximumLength: number,
    onLine: (line: string, isCut: boolean) => void,
    onCut: () => void = () => undefined,
  ) {
    this.#maximumLength = maximumLength;
    this.#onLine = onLine;
    this.#onCut = onCut;
  }

  push(chunk: Uint8Array): void {
    const parts = this.#decoder.write(Buffer.from(chunk)).split('\n');
    const rest = parts.pop() ?? '';
    for (const part of parts) {
      this.#hold(part);
      this.#endLine();
    }
    this.#hold(rest);
  }

  /** The stream has ended: a last line without a line break is a line too. */
  end(): void {
    this.#hold(this.#decoder.end());
    if (this.#heldLength > 0 || this.#isCut) this.#endLine();
  }

  /** Pieces are joined once, when the line ends: a long line in many chunks costs no more than its length. */
  #hold(text: string): void {
    const room = this.#maximumLength - this.#heldLength;
    if (text.length > room && !this.#isCut) {
      this.#isCut = true;
      this.#onCut();
    }
    const kept = text.slice(0, Math.max(0, room));
    if (kept === '') return;
    this.#held.push(kept);
    this.#heldLength += kept.length;
  }

  #endLine(): void {
    const line = this.#held.join('');
    const isCut = this.#isCut;
    this.#held = [];
    this.#heldLength = 0;
    this.#isCut = false;
    this.#onLine(line.endsWith('\r') ? line.slice(0, -1) : line, isCut);
  }
}
