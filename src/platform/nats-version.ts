import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { asError } from '../core/errors.ts';
import { compareVersions, minimumNatsVersion } from '../core/server-version.ts';

/** Time for `nats-server --version`. */
const versionTimeoutMs = 10_000;

const run = promisify(execFile);

/** What a program says when it is asked for its nats-server version. */
export type NatsVersionAnswer =
  | { readonly kind: 'nats-server'; readonly version: string; readonly newEnough: boolean }
  | { readonly kind: 'unusable'; readonly reason: string };

/** Runs `<binary> --version`. Never rejects. */
export async function readNatsVersion(binary: string): Promise<NatsVersionAnswer> {
  try {
    const { stdout } = await run(binary, ['--version'], { timeout: versionTimeoutMs });
    const version = /nats-server: v(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1];
    if (version === undefined) return { kind: 'unusable', reason: 'it does not answer --version as nats-server does' };
    return { kind: 'nats-server', version, newEnough: compareVersions(version, minimumNatsVersion) >= 0 };
  } catch (error) {
    return { kind: 'unusable', reason: firstLine(asError(error).message) };
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
