import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask, messageOf, startChild, stopChild } from './child-process.ts';
import { pause } from './engines.ts';
import type { WatchPlace } from './inspector.ts';
import type { Watched } from './load-run.ts';
import { usageOfAll, type ProcessUsage } from './process-usage.ts';
import type { WatchFigures } from './watch-process.ts';

const none: ProcessUsage = { cpuMicros: 0, peakMemoryBytes: 0 };

/** A console and its clients. With `restartAfterMs` it is stopped in the middle of the load and started again on its port. */
export async function startConsole({
  restartAfterMs,
  ...place
}: WatchPlace & { readonly restartAfterMs: number | null }): Promise<Watched> {
  const { servers, namespace } = place;
  const folder = mkdtempSync(join(tmpdir(), 'cabinet-bench-console-'));
  const serve = async (
    port: number,
  ): Promise<{ readonly child: ChildProcess; readonly port: number; readonly token: string }> => {
    const child = startChild('console-process.js', { servers, namespace, folder, port });
    const ready = (await messageOf(child)) as { readonly port: number; readonly token: string };
    return { child, ...ready };
  };
  let served = await serve(0);
  /** Of the consoles before a restart. */
  let ended = none;
  const { port, token } = served;
  const watcher = startChild('watch-process.js', { ...place, port, token });
  await messageOf(watcher);
  let before: WatchFigures | undefined;
  return {
    usage: () => ({
      console: added(ended, usageOfAll([served.child.pid ?? 0])),
      watcher: usageOfAll([watcher.pid ?? 0]),
    }),
    during: async () => {
      if (restartAfterMs === null) return;
      await pause(restartAfterMs);
      ended = added(ended, usageOfAll([served.child.pid ?? 0]));
      await stopChild(served.child);
      served = await serve(port);
    },
    mark: async () => {
      before = (await ask(watcher, 'tell')) as WatchFigures;
    },
    figures: async (seconds) => {
      const after = (await ask(watcher, 'check')) as WatchFigures;
      return {
        eventsToldPerSecond: (after.events - (before?.events ?? 0)) / seconds,
        megabytesToldPerSecond: (after.bytes - (before?.bytes ?? 0)) / 1_048_576 / seconds,
        eventsMissing: after.missing,
        eventsTwice: after.twice,
        gaps: after.gaps,
        slowCloses: after.slowCloses,
        otherCloses: after.otherCloses,
      };
    },
    stop: async () => {
      await stopChild(watcher);
      await stopChild(served.child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function added(left: ProcessUsage, right: ProcessUsage): ProcessUsage {
  return {
    cpuMicros: left.cpuMicros + right.cpuMicros,
    peakMemoryBytes: Math.max(left.peakMemoryBytes, right.peakMemoryBytes),
  };
}
