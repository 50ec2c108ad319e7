import { open } from 'node:fs/promises';

/** How much of a log's end is read. */
const tailBytes = 8_192;

/** The last line in which a server complains, or the last one at all; of the first file that has any. */
export async function readComplaint(files: readonly string[]): Promise<string> {
  for (const file of files) {
    const lines = (await readTail(file)).trimEnd().split('\n');
    const line = lines.findLast((text) => /\[(FTL|ERR)\]/.test(text)) ?? lines.at(-1);
    if (line !== undefined && line !== '') return line;
  }
  return 'without a word';
}

async function readTail(file: string): Promise<string> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      const buffer = Buffer.alloc(Math.min(size, tailBytes));
      await handle.read(buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString('utf8');
    } finally {
      await handle.close();
    }
  } catch {
    return ''; // There is no such file yet.
  }
}
