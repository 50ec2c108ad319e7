/**
 * Runs `run` for every item with at most `limit` of them in flight, in order of the items.
 *
 * After a first failure no further item is started; it rejects with that failure once all that were started have ended, so
 * that nothing of a failed batch is still on its way when the caller tries again.
 */
export async function runInFlight<Item>(
  items: readonly Item[],
  limit: number,
  run: (item: Item) => Promise<void>,
): Promise<void> {
  let nextIndex = 0;
  let failure: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    while (failure === undefined && nextIndex < items.length) {
      const item = items[nextIndex] as Item;
      nextIndex += 1;
      try {
        await run(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  if (failure !== undefined) throw failure.error;
}
