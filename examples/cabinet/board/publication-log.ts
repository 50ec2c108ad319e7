import { mkdir, open, readFile, truncate, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '../files/atomic-file.ts';

/** The fence of a publish, as the engine sends it. */
export interface PublishFence {
  readonly shard: number;
  readonly epoch: number;
  readonly sequence: number;
}

/** One line of the log. */
export type LogEntry =
  /** A card was published: the effect itself. */
  | {
      readonly type: 'applied';
      readonly publicationId: string;
      readonly cardId: string;
      readonly key: string;
      readonly bodyHash: string;
      readonly fence: PublishFence;
      readonly at: string;
      readonly card: unknown;
    }
  /** A repeat came with a newer fence: older ones are refused from here on. */
  | { readonly type: 'fenceRaised'; readonly cardId: string; readonly fence: PublishFence };

/** Name of the log file in the board's data folder. */
export const logFileName = 'publications.ndjson';

interface Waiting {
  readonly line: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * The board's durable memory: a file of JSON lines that only grows. An append resolves when its line is on disk; appends
 * that come while the disk is busy share the next sync.
 */
export class PublicationLog {
  readonly #file: FileHandle;
  readonly #waiting: Waiting[] = [];
  #draining: Promise<void> | null = null;
  #failure: Error | null = null;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /**
   * Opens the log of a data folder, and reads what it holds.
   *
   * A last line without its end was being written when the board died. Nobody was answered for it, so it is cut off.
   *
   * @throws Error when a finished line cannot be read: that is damage, and to start without it would forget a publish
   */
  static async open(dataDir: string): Promise<{ readonly log: PublicationLog; readonly entries: readonly LogEntry[] }> {
    await mkdir(dataDir, { recursive: true });
    const path = join(dataDir, logFileName);
    const file = await open(path, 'a');
    await syncFolder(dataDir);
    try {
      const bytes = await readFile(path);
      const end = bytes.lastIndexOf('\n') + 1;
      const entries = parseEntries(bytes.subarray(0, end).toString('utf8'));
      if (end < bytes.length) {
        await truncate(path, end);
        await file.sync();
      }
      return { log: new PublicationLog(file), entries };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Resolves when the entry is on disk. After one failed write all fail: what the file holds is then not known. */
  append(entry: LogEntry): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: `${JSON.stringify(entry)}\n`, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Finishes what is under way and closes the file. */
  async close(): Promise<void> {
    await this.#draining;
    await this.#file.close();
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        await this.#file.appendFile(batch.map(({ line }) => line).join(''));
        await this.#file.sync();
        for (const { resolve } of batch) resolve();
      } catch (error) {
        const failure = error instanceof Error ? error : new Error(String(error));
        this.#failure = failure;
        for (const { reject } of [...batch, ...this.#waiting.splice(0)]) reject(failure);
      }
    }
    this.#draining = null;
  }
}

/** Reads the log as it is on disk, without opening it for writing; an unfinished last line is left out. */
export async function readLogEntries(dataDir: string): Promise<readonly LogEntry[]> {
  const bytes = await readFile(join(dataDir, logFileName)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  });
  return parseEntries(bytes.subarray(0, bytes.lastIndexOf('\n') + 1).toString('utf8'));
}

function parseEntries(text: string): readonly LogEntry[] {
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line, index) => {
    try {
      return JSON.parse(line) as LogEntry;
    } catch (error) {
      throw new Error(`${logFileName} line ${index + 1} cannot be read`, { cause: error });
    }
  });
}
