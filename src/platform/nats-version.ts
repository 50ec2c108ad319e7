import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { asError } from '../core/errors.ts';

/** Oldest nats-server that keeps the engine's fences and TTLs. */
export const minimumNatsVersion = '2.14.4';

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

/** Negative, 0 or positive as version `left` is older than, equal to or newer than `right`; a suffix such as `-RC.1` is not compared. */
export function compareVersions(left: string, right: string): number {
  const leftParts = numbersOf(left);
  const rightParts = numbersOf(right);
  for (let index = 0; index < 3; index += 1) {
    const difference = (leftParts[index] ?? 0) - (rightParts[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(version: string): readonly number[] {
  return (/^v?(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
