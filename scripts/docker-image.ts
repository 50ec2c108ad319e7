import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { askDocker, DockerApiError } from './docker-api.ts';

const run = promisify(execFile);

/**
 * Makes an image of a nats-server binary and the libraries that it is linked to, without any registry.
 *
 * @param folder - an empty one, for the image's files
 * @returns the image's name
 */
export async function importNatsImage(options: {
  readonly socketPath: string;
  readonly binary: string;
  readonly version: string;
  readonly folder: string;
}): Promise<string> {
  const { socketPath, binary, version, folder } = options;
  await mkdir(join(folder, 'tmp'), { recursive: true });
  await copyFile(binary, join(folder, 'nats-server'));
  for (const library of await librariesOf(binary)) {
    await mkdir(join(folder, dirname(library)), { recursive: true });
    await copyFile(library, join(folder, library));
  }
  const [repository, tag] = ['cabinet-nats', version.replaceAll(/[^\w.-]/g, '-')];
  const query = new URLSearchParams({ fromSrc: '-', repo: repository, tag });
  for (const change of ['ENTRYPOINT ["/nats-server"]', 'EXPOSE 4222 6222 8222']) query.append('changes', change);
  const tar = spawn('tar', ['-C', folder, '--owner=0', '--group=0', '-c', '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(tar, 'close');
  const answer = await askDocker(socketPath, {
    method: 'POST',
    path: `/images/create?${query.toString()}`,
    body: tar.stdout,
  });
  await ended;
  // A failure in the middle comes with status 200.
  if (answer.includes('"error"') || tar.exitCode !== 0) throw new DockerApiError(`import of the image: ${answer}`);
  return `${repository}:${tag}`;
}

/** Paths of the shared libraries, with the loader; none when the binary is static. */
async function librariesOf(binary: string): Promise<readonly string[]> {
  const { stdout } = await run('ldd', [binary]).catch(() => ({ stdout: '' }));
  return [...stdout.matchAll(/(?:^|=>)\s*(\/\S+)/gm)].map((match) => match[1] ?? '');
}
