import {
  phases,
  type Append,
  type Entry,
  type LateLock,
  type NodeBelief,
  type Progress,
  type RecordKind,
  type World,
} from './fence-state.ts';

const kinds: readonly RecordKind[] = ['claim', 'submitted', 'completed', 'restarted', 'released', 'noted'];

/** One text for a world and every other that differs from it by the names of the nodes alone. */
export function keyOfWorld(world: World): string {
  let smallest: string | undefined;
  for (const names of renamings(world.nodes.length)) {
    const key = keyUnder(world, names);
    if (smallest === undefined || key < smallest) smallest = key;
  }
  return smallest ?? '';
}

const cachedRenamings = new Map<number, readonly (readonly number[])[]>();

/** Every order of so many nodes: `names[node]` is what the node is called. */
function renamings(count: number): readonly (readonly number[])[] {
  const known = cachedRenamings.get(count);
  if (known !== undefined) return known;
  const orders = count === 0 ? [[]] : renamings(count - 1).flatMap((order) => insertions(order, count - 1));
  cachedRenamings.set(count, orders);
  return orders;
}

function insertions(order: readonly number[], last: number): number[][] {
  return Array.from({ length: order.length + 1 }, (_, at) => order.toSpliced(at, 0, last));
}

/** The world as a text of small numbers, one character each. */
function keyUnder(world: World, names: readonly number[]): string {
  const codes: number[] = [];
  const nameOf = (node: number): number => (node === -1 ? -1 : (names[node] ?? -1));
  const { journal, lock, nodes, wire, lockWire, faults } = world;
  codes.push(journal.length);
  for (const entry of journal) pushEntry(codes, entry, nameOf);
  codes.push(nameOf(lock.owner), lock.life, lock.epoch, lock.revision);
  for (let name = 0; name < nodes.length; name += 1) {
    const node = nodes[names.indexOf(name)];
    if (node !== undefined) pushNode(codes, node, nameOf);
  }
  pushSorted(
    codes,
    wire.map((append) => appendCodes(append, nameOf)),
  );
  pushSorted(
    codes,
    lockWire.map((late) => lateLockCodes(late, nameOf)),
  );
  codes.push(faults.expiries, faults.unknowns, faults.crashes, faults.handoffs, faults.lockLosses, faults.notes);
  codes.push(world.servedEpoch, world.isDisturbed ? 1 : 0);
  // From -1 on; a text of them is shorter than JSON and as exact.
  return String.fromCharCode(...codes.map((code) => code + 1));
}

function pushEntry(codes: number[], entry: Entry, nameOf: (node: number) => number): void {
  codes.push(kinds.indexOf(entry.kind) * 2 + (entry.starts ? 1 : 0), entry.stage, entry.epoch, entry.batch);
  codes.push(nameOf(entry.by), entry.life);
}

function appendCodes(append: Append, nameOf: (node: number) => number): number[] {
  const codes = [append.expectedLast];
  pushEntry(codes, append, nameOf);
  return codes;
}

function lateLockCodes(late: LateLock, nameOf: (node: number) => number): number[] {
  return [nameOf(late.owner), late.life, late.epoch, late.revision, late.expectedRevision];
}

function pushNode(codes: number[], node: NodeBelief, nameOf: (node: number) => number): void {
  codes.push(phases.indexOf(node.phase), node.life, node.isLeased ? 1 : 0, node.epoch, node.revision);
  codes.push(node.lastSequence, node.batch, node.driver, node.ownEpoch);
  pushProgress(codes, node.progress);
  if (node.flight === null) codes.push(0);
  else codes.push(node.flight.phase === 'sending' ? 1 : 2, ...appendCodes(node.flight.append, nameOf));
}

function pushProgress(codes: number[], progress: Progress | null): void {
  if (progress === null) codes.push(-1);
  else codes.push(progress.isRunning ? 1 : 0, progress.done, progress.attempt);
}

/** What is under way has no order. */
function pushSorted(codes: number[], parts: readonly (readonly number[])[]): void {
  codes.push(parts.length);
  const texts = parts.map((part) => ({ part, text: part.join(',') }));
  for (const { part } of texts.toSorted((left, right) => (left.text < right.text ? -1 : 1))) codes.push(...part);
}
