// Stands for a process that runs seeds: seed 3 takes it along, seed 5 throws, and all others come to nothing.

function tell(message: object | string): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, undefined, {}, () => resolve());
  });
}

process.on('message', (seeds: readonly number[]) => {
  void (async () => {
    for (const seed of seeds) {
      if (seed === 3) process.exit(7);
      await tell(seed === 5 ? { seed, crashed: 'it threw' } : { seed });
    }
    await tell('idle');
  })();
});
process.on('disconnect', () => process.exit(0));
