import type { Driver } from '../../../src/ports/driver.ts';
import { cabinetOf } from '../cabinet-ports.ts';
import type { CardInput, CleanupResult } from '../card.ts';

/** Removes the card's files from the work folder. What is gone already is no failure, so it may run again. */
export const cleanupDriver: Driver<CardInput, unknown, CleanupResult> = {
  async execute(ctx) {
    await cabinetOf(ctx).work.remove(ctx.taskId);
    return { removedFolder: ctx.taskId };
  },
};
