/** Oldest nats-server that keeps the engine's fences and TTLs. */
export const minimumNatsVersion = '2.14.4';

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
