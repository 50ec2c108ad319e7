import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** `EXT4_IOC_SHUTDOWN` with its flag to flush nothing: what was not synced is gone, as when the power goes. */
const shutdownRequest = 0x80_04_58_7d;
const flushNothing = 2;
const unmountTries = 50;

/** An ext4 file system in a file, of which a test can cut the power. Needs root and Debian's `e2fsprogs` and `mount`. */
export class LoopDisk {
  readonly path: string;
  readonly #folder: string;
  readonly #image: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#image = join(folder, 'disk.img');
    this.path = join(folder, 'mounted');
  }

  static async create(bytes: number): Promise<LoopDisk> {
    const disk = new LoopDisk(await mkdtemp(join(tmpdir(), 'cabinet-disk-')));
    await writeFile(disk.#image, '');
    await truncate(disk.#image, bytes);
    await run('mkfs.ext4', ['-q', '-F', disk.#image]);
    await mkdir(disk.path);
    await disk.#mount();
    return disk;
  }

  /** Makes durable all that was written so far. */
  async sync(): Promise<void> {
    await run('sync', ['-f', this.path]);
  }

  /** The power goes: nothing is written any more, also not what waits to be. Kill who has files here, then {@link recover}. */
  async cut(): Promise<void> {
    const script = `open(F, "<", $ARGV[0]) or die $!; my $f = pack("L", ${flushNothing}); ioctl(F, ${shutdownRequest}, $f) // die $!`;
    await run('perl', ['-e', script, this.path]);
  }

  /** The power is back: the file system is as its last sync left it. */
  async recover(): Promise<void> {
    await this.#unmount();
    await this.#mount();
  }

  async remove(): Promise<void> {
    await this.#unmount();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #mount(): Promise<void> {
    await run('mount', ['-o', 'loop', this.#image, this.path]);
  }

  /** The kernel lets go of a killed process's files a moment after the process. */
  async #unmount(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await run('umount', [this.path]);
        return;
      } catch (error) {
        if (attempt >= unmountTries) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }
}
