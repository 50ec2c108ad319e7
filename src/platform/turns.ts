/** Turns after which the event loop has its own: messages of a parent, signals. */
const turnsPerBreath = 5_000;

/** A job of a promise, unlike one of `queueMicrotask`, is no resource of its own that Node keeps account of. */
const settled = Promise.resolve();

/**
 * Calls `turn` again and again, each time after every promise job that the turn before has begun is done, until it answers false.
 *
 * A tick that is asked for by a promise job runs when no job is left, however many the job has queued: so all settles between two
 * turns, at a tenth of the cost of a pass through the event loop. Work that waits for the outside (files, sockets, threads) is
 * not waited for.
 *
 * @throws what `turn` throws
 */
export function runTurns(turn: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = turnsPerBreath;
    const afterJobs = (): void => process.nextTick(next);
    const next = (): void => {
      try {
        if (!turn()) {
          resolve();
          return;
        }
      } catch (thrown) {
        reject(thrown);
        return;
      }
      left -= 1;
      if (left > 0) {
        void settled.then(afterJobs);
        return;
      }
      left = turnsPerBreath;
      setImmediate(next);
    };
    setImmediate(next);
  });
}
