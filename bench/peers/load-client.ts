import type { LoadReply, LoadRequest } from './messages.ts';

/** A system as its load client sees it. */
export interface PeerClient {
  /** Submits task `number` and resolves when its five stages are done. */
  run(number: number): Promise<void>;
  close(): Promise<void>;
}

/** Answers the parent's requests with a client's figures, until it says `stop` or is gone. */
export function serveLoad(client: PeerClient): void {
  let nextNumber = 1;
  let batchDone = 0;

  const runOne = async (): Promise<void> => {
    const number = nextNumber;
    nextNumber += 1;
    await client.run(number);
  };

  const load = async (request: LoadRequest & { type: 'load' }): Promise<void> => {
    const end = new AbortController();
    let latenciesMs: number[] | null = null;
    const lane = async (): Promise<void> => {
      while (!end.signal.aborted) {
        const sentMs = performance.now();
        await runOne();
        latenciesMs?.push(performance.now() - sentMs);
      }
    };
    const lanes = Promise.all(Array.from({ length: request.inFlight }, lane));
    await delay(request.warmUpSeconds * 1_000);
    const measured: number[] = [];
    latenciesMs = measured;
    const startMs = performance.now();
    tell({ type: 'measuring' });
    await Promise.race([lanes, delay(request.seconds * 1_000)]);
    const seconds = (performance.now() - startMs) / 1_000;
    latenciesMs = null;
    end.abort();
    tell({ type: 'measured', tasks: measured.length, seconds, ...percentilesOf(measured) });
    await lanes;
    tell({ type: 'drained' });
  };

  const alone = async (request: LoadRequest & { type: 'alone' }): Promise<void> => {
    for (let count = 0; count < request.warmUpTasks; count += 1) await runOne();
    const latenciesMs: number[] = [];
    for (let count = 0; count < request.tasks; count += 1) {
      const sentMs = performance.now();
      await runOne();
      latenciesMs.push(performance.now() - sentMs);
    }
    tell({ type: 'aloneMeasured', ...percentilesOf(latenciesMs) });
  };

  const batch = async (request: LoadRequest & { type: 'batch' }): Promise<void> => {
    let started = 0;
    batchDone = 0;
    const lane = async (): Promise<void> => {
      while (started < request.tasks) {
        started += 1;
        await runOne();
        batchDone += 1;
        if (batchDone === request.noticeAt) tell({ type: 'reached' });
      }
    };
    await Promise.all(Array.from({ length: request.inFlight }, lane));
    tell({ type: 'finished' });
  };

  process.on('message', (request: LoadRequest) => {
    switch (request.type) {
      case 'load':
        void load(request);
        return;
      case 'alone':
        void alone(request);
        return;
      case 'batch':
        void batch(request);
        return;
      case 'count':
        tell({ type: 'counted', done: batchDone });
        return;
      case 'stop':
        void client.close().then(() => process.exit(0));
    }
  });
  process.on('disconnect', () => process.exit(1));
  tell({ type: 'ready' });
}

/** Serves a worker's end of the parent's protocol: says it is ready, and stops when told. */
export function serveWorker(stop: () => Promise<unknown>): void {
  process.on('message', () => void stop().then(() => process.exit(0)));
  process.on('disconnect', () => process.exit(1));
  process.send?.({ type: 'ready' });
}

function tell(reply: LoadReply): void {
  process.send?.(reply);
}

function percentilesOf(latenciesMs: readonly number[]): { readonly p50Ms: number; readonly p99Ms: number } {
  const sorted = latenciesMs.toSorted((left, right) => left - right);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

function delay(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}
