/** The machine's monotonic clock in milliseconds: the same for all processes, and not stopped with one of them. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
