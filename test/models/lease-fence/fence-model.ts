import { mayTake, type Claimant } from '../../../src/cluster/shard-takeover.ts';
import { assembleCommit, commitFormat } from '../../../src/core/commit-codec.ts';
import type { Epoch, NodeId, Sequence, ShardId } from '../../../src/core/ids.ts';
import type { OwnerChange } from '../../../src/core/records.ts';
import type { JournalEntry } from '../../../src/ports/journal.ts';
import { resolveConflict } from '../../../src/shard/append-resolution.ts';
import type { ExplorableModel, ModelStep } from './explorer.ts';
import { keyOfWorld } from './fence-key.ts';
import {
  driverOf,
  follow,
  forgotten,
  newWorld,
  progressOf,
  withFault,
  withNode,
  type Append,
  type Entry,
  type Faults,
  type Lock,
  type NodeBelief,
  type World,
  type Written,
} from './fence-state.ts';

/** What a mutant of the model does wrong. */
export type FenceMutant =
  /** The new owner does not append its claim; it reads and goes on. */
  | 'skipsClaim'
  /** The server takes appends whatever they expect. */
  | 'appendsWithoutCondition'
  /** The store takes locks whatever revision they expect. */
  | 'locksWithoutCondition'
  /** The next epoch is counted from the node's own last one. */
  | 'epochFromMemory'
  /** Drivers start when it is decided, before the record is known to be stored. */
  | 'actsBeforeCommit'
  /** An append that timed out counts as stored. */
  | 'takesUnknownForStored'
  /** An append that timed out counts as lost, and what it told is decided anew. */
  | 'takesUnknownForLost'
  /** A conflict is answered by the same append behind the journal's new end. */
  | 'repeatsAfterConflict'
  /** The next append goes out while the one before is unknown. */
  | 'severalInFlight'
  /** The tasks are rebuilt from what was read before the claim. */
  | 'recoversBeforeClaim'
  /** A stage that was running is started again without a record of it. */
  | 'restartsUnrecorded'
  /** The lock of an owner that lives is taken. */
  | 'takesFromTheLiving'
  /** The lock is given back while a driver runs, and the driver goes on. */
  | 'handsOverUndrained'
  /** The lock is given back whoever has it by now. */
  | 'releasesWithoutCondition'
  /** A claim is named by its epoch alone. */
  | 'claimsWithoutName';

/** How large the model is, and what it does wrong. */
export interface FenceOptions {
  readonly nodes: number;
  readonly stages: number;
  /** Whose rules the journal's server has for a repeated append: 1 looks at the expectation first, 3 at the message id. */
  readonly replicas: 1 | 3;
  readonly faults: Faults;
  readonly mutant?: FenceMutant;
}

/**
 * One shard with one task, its journal, its lock and the nodes that take it from each other. No step knows the time: a lease may
 * run out at any moment, and a node may stand still between any two of its steps, so a zombie is a node that goes on late.
 *
 * What the engine decides in pure functions is asked of those very functions: {@link mayTake}, {@link resolveConflict}. The shells
 * around them are modeled step by step: `takeShard` of `cluster/shard-takeover.ts`, `acquire`, `drop` and `release` of
 * `supervisor/owned-shards.ts`, `claim` and the appends of `shard/group-commit.ts`, `recoverShard` of `shard/recovery.ts`, the
 * drain of `shard/shard.ts`, and the end of a lease in `supervisor/engine.ts`.
 */
export function fenceModel(options: FenceOptions): ExplorableModel<World> {
  const rules = new FenceRules(options);
  return {
    initial: newWorld(options.nodes, options.faults),
    steps: (world) => rules.steps(world),
    keyOf: keyOfWorld,
    check: (world) => rules.check(world),
    isEnd: (world) => {
      const progress = progressOf(world.journal, world.journal.length, options.stages);
      return typeof progress !== 'string' && progress.done === options.stages;
    },
  };
}

type Step = ModelStep<World>;

/** What the journal's server did with an append. */
type Handled = { readonly world: World; readonly broken?: string | undefined } & (
  { readonly kind: 'committed'; readonly sequence: number } | { readonly kind: 'conflict' }
);

class FenceRules {
  readonly #options: FenceOptions;
  readonly #mutant: FenceMutant | undefined;

  constructor(options: FenceOptions) {
    this.#options = options;
    this.#mutant = options.mutant;
  }

  steps(world: World): Step[] {
    const steps: Step[] = [];
    world.nodes.forEach((node, index) => {
      this.#stepsOfLease(world, node, index, steps);
      this.#stepsOfNode(world, node, index, steps);
    });
    for (const [at, append] of world.wire.entries()) {
      const { world: next, broken } = this.#handle({ ...world, wire: world.wire.toSpliced(at, 1) }, append);
      steps.push({ label: `${nameOf(append.by)}'s ${textOf(append)} lands late`, next, broken });
    }
    for (const [at, late] of world.lockWire.entries()) {
      const next = this.#writeLock(
        { ...world, lockWire: world.lockWire.toSpliced(at, 1) },
        late,
        late.expectedRevision,
      );
      steps.push({ label: `${nameOf(late.owner)}'s lock of epoch ${late.epoch} lands late`, next: next.world });
    }
    if (world.faults.lockLosses > 0) {
      const lock: Lock = { owner: -1, life: 0, epoch: 0, revision: 0 };
      steps.push({
        label: 'the bucket with the lock is lost',
        next: { ...withFault(world, 'lockLosses'), lock, isDisturbed: true },
      });
    }
    return steps;
  }

  /** What must hold in every state. */
  check(world: World): string | null {
    const { journal, nodes } = world;
    for (const [at, entry] of journal.entries()) {
      const wrong = chainFault(journal[at - 1], entry, this.#mutant === 'skipsClaim');
      if (wrong !== null) return `${wrong} (sequence ${at + 1})`;
    }
    const progress = progressOf(journal, journal.length, this.#options.stages);
    if (typeof progress === 'string') return progress;
    const owners = nodes.filter(({ phase }) => phase === 'serving' || phase === 'draining');
    const epochs = owners.map(({ epoch }) => epoch);
    if (new Set(epochs).size < epochs.length) return `two nodes serve under epoch ${Math.max(...epochs)}`;
    const newest = journal.at(-1)?.epoch ?? 0;
    for (const owner of owners) {
      const isUnderWay = owner.flight !== null || world.wire.some(({ epoch }) => epoch === owner.epoch);
      if (isUnderWay || owner.progress === null || owner.epoch < newest) continue;
      // What it knows is what is stored: nothing that was committed is lost.
      const { done, attempt, isRunning } = owner.progress;
      if (done !== progress.done || attempt !== progress.attempt || isRunning !== progress.isRunning) {
        return `the owner of epoch ${owner.epoch} lacks what is committed`;
      }
    }
    return this.#overlapOf(world);
  }

  /** While no lease has run out, a stage's driver runs at one place at most: handoffs and crashes alone never make two. */
  #overlapOf({ nodes, isDisturbed }: World): string | null {
    if (isDisturbed) return null;
    const running = nodes.filter(({ driver }) => driver !== 0);
    return running.length > 1 ? 'two drivers run, and no lease has run out' : null;
  }

  /** The lease's life in the store, and the node's own end of it: `Engine.#leaseExpired`. */
  #stepsOfLease(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    const name = nameOf(index);
    if (node.isLeased) {
      if (world.faults.expiries > 0) {
        const next = { ...withNode(withFault(world, 'expiries'), index, { isLeased: false }), isDisturbed: true };
        steps.push({ label: `${name}'s lease runs out`, next });
      }
    } else {
      steps.push({ label: `${name} renews its lease anew`, next: withNode(world, index, { isLeased: true }) });
      for (const left of this.#leavings(world, node)) {
        const next = withNode(left, index, { ...forgotten, life: node.life + 1, isLeased: true });
        steps.push({ label: `${name} sees its lease gone, drops the shard and begins another life`, next });
      }
    }
    if (world.faults.crashes > 0) {
      for (const left of this.#leavings(withFault(world, 'crashes'), node)) {
        const next = withNode(left, index, { ...forgotten, life: node.life + 1, isLeased: true });
        steps.push({ label: `${name} crashes and starts again`, next });
      }
    }
  }

  #stepsOfNode(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    switch (node.phase) {
      case 'idle':
        return this.#look(world, node, index, steps);
      case 'looked':
        return this.#readEnd(world, node, index, steps);
      case 'read':
        return this.#takeLock(world, node, index, steps);
      case 'claiming':
        return this.#append(world, node, index, steps);
      case 'recovering':
        return this.#recover(world, node, index, steps);
      case 'serving':
      case 'draining':
        this.#dropSuperseded(world, node, index, steps);
        if (node.flight === null) this.#decide(world, node, index, steps);
        else this.#append(world, node, index, steps);
        return;
      default:
        return node.phase satisfies never;
    }
  }

  /** `takeShard`, first step: who holds the lock, and may it be tried for? */
  #look(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    if (!node.isLeased) return;
    const { lock } = world;
    const live = world.nodes.flatMap(({ isLeased, life }, other) => (isLeased ? [claimantOf(other, life)] : []));
    const owner = lock.owner === -1 ? null : claimantOf(lock.owner, lock.life);
    const stored = { shard, owner, epoch: lock.epoch as Epoch, revision: lock.revision };
    const isAllowed = mayTake(stored, claimantOf(index, node.life), live);
    if (!isAllowed && this.#mutant !== 'takesFromTheLiving') return;
    const next = withNode(world, index, { phase: 'looked', epoch: lock.epoch, revision: lock.revision });
    steps.push({ label: `${nameOf(index)} reads the lock (epoch ${lock.epoch})`, next });
  }

  /** `takeShard`, second step: where the journal ends, and the epoch above every one that lock or journal knows. */
  #readEnd(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    const { journal } = world;
    const seen = Math.max(node.epoch, journal.at(-1)?.epoch ?? 0);
    const epoch = (this.#mutant === 'epochFromMemory' ? node.ownEpoch : seen) + 1;
    const next = withNode(world, index, { phase: 'read', epoch, lastSequence: journal.length });
    steps.push({ label: `${nameOf(index)} reads the journal's end (${journal.length})`, next });
  }

  /** `takeShard`, last step: the compare-and-set. Whatever goes wrong with it, the node does not have the shard. */
  #takeLock(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    const name = nameOf(index);
    const wanted: Lock = { owner: index, life: node.life, epoch: node.epoch, revision: 0 };
    const written = this.#writeLock(world, wanted, node.revision);
    if (written.revision === null) {
      steps.push({ label: `${name} finds the lock changed`, next: withNode(world, index, forgotten) });
    } else {
      const ownEpoch = this.#mutant === 'epochFromMemory' ? node.epoch : 0;
      const taken = withNode(written.world, index, { revision: written.revision, batch: 0, ownEpoch });
      steps.push({ label: `${name} takes the lock under epoch ${node.epoch}`, next: this.#beginClaim(taken, index) });
    }
    this.#loseLockAnswer(world, index, { ...wanted, expectedRevision: node.revision }, steps);
  }

  /** The same for a lock that is taken and one that is given back. */
  #loseLockAnswer(
    world: World,
    index: number,
    late: Lock & { readonly expectedRevision: number },
    steps: Step[],
  ): void {
    if (world.faults.unknowns === 0) return;
    const faulty = withFault(world, 'unknowns');
    const written = this.#writeLock(faulty, late, late.expectedRevision);
    if (written.revision !== null) {
      const next = withNode(written.world, index, forgotten);
      steps.push({ label: `${nameOf(index)} writes the lock, and the answer is lost`, next });
    }
    if (written.revision === null) return;
    const next = withNode({ ...faulty, lockWire: [...faulty.lockWire, late] }, index, forgotten);
    steps.push({ label: `${nameOf(index)} writes the lock, and it is under way`, next });
  }

  #beginClaim(world: World, index: number): World {
    const node = world.nodes[index] as NodeBelief;
    if (this.#mutant === 'skipsClaim') return withNode(world, index, { phase: 'recovering' });
    const early =
      this.#mutant === 'recoversBeforeClaim'
        ? progressOf(world.journal, node.lastSequence, this.#options.stages)
        : null;
    const claimed = withNode(world, index, { phase: 'claiming', progress: typeof early === 'string' ? null : early });
    return this.#send(claimed, index, { kind: 'claim', stage: 0, starts: false });
  }

  /** Puts a record on its way: one append at a time. */
  #send(world: World, index: number, written: Written): World {
    const { epoch, batch, life, lastSequence } = world.nodes[index] as NodeBelief;
    const append: Append = { ...written, epoch, batch: batch + 1, by: index, life, expectedLast: lastSequence };
    return withNode(world, index, { batch: batch + 1, flight: { append, phase: 'sending' } });
  }

  /** `GroupCommit.#append`: again and again, until it is known what became of it. */
  #append(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    const { flight } = node;
    if (flight === null) return;
    const { append } = flight;
    const name = nameOf(index);
    if (flight.phase === 'conflict') return this.#resolve(world, index, append, steps);
    const handled = this.#handle(world, append);
    if (handled.kind === 'committed') {
      const answered = this.#advance(handled.world, index, append, handled.sequence);
      steps.push(...answered.map((step) => ({ ...step, label: `${name}'s ${textOf(append)} is stored${step.label}` })));
      const first = steps.at(-1);
      if (handled.broken !== undefined && first !== undefined)
        steps[steps.length - 1] = { ...first, broken: handled.broken };
    } else {
      const next = withNode(world, index, { flight: { append, phase: 'conflict' } });
      steps.push({ label: `${name}'s ${textOf(append)} meets a conflict`, next });
    }
    // A conflict that is not heard changes nothing, and such an append never lands: the journal only grows.
    if (world.faults.unknowns === 0 || handled.kind === 'conflict') return;
    const faulty = withFault(world, 'unknowns');
    const stored = this.#handle(faulty, append);
    steps.push(
      ...this.#unknown(stored.world, index, append, `${name}'s ${textOf(append)} is stored, and the answer is lost`),
    );
    if (world.wire.some((other) => isSameAppend(other, append))) return;
    const late = { ...faulty, wire: [...faulty.wire, append] };
    steps.push(
      ...this.#unknown(late, index, append, `${name}'s ${textOf(append)} is not heard of: it lands later, or never`),
    );
  }

  /** What the owner makes of an unknown outcome: nothing, but that it asks again. */
  #unknown(world: World, index: number, append: Append, label: string): Step[] {
    switch (this.#mutant) {
      case 'takesUnknownForStored':
        return this.#advance(world, index, append, append.expectedLast + 1).map((step) => ({ ...step, label }));
      case 'takesUnknownForLost': {
        const known = progressOf(world.journal, append.expectedLast, this.#options.stages);
        const progress = typeof known === 'string' ? null : known;
        if (append.kind === 'claim') return [{ label, next: world }];
        return [{ label, next: withNode(world, index, { flight: null, progress }) }];
      }
      case 'severalInFlight':
        return append.kind === 'claim'
          ? [{ label, next: world }]
          : [{ label, next: withNode(world, index, { flight: null }) }];
      default:
        return [{ label, next: world }];
    }
  }

  /** The fate of an append that met a conflict, by the engine's own reading of the journal's last message. */
  #resolve(world: World, index: number, append: Append, steps: Step[]): void {
    const name = nameOf(index);
    if (this.#mutant === 'repeatsAfterConflict') {
      const moved = { ...append, expectedLast: world.journal.length };
      const next = withNode(world, index, { flight: { append: moved, phase: 'sending' } });
      steps.push({ label: `${name} appends again behind ${world.journal.length}`, next });
      return;
    }
    const identity = {
      epoch: append.epoch as Epoch,
      batch: append.batch,
      expectedLast: append.expectedLast as Sequence,
    };
    const isNamed = append.kind === 'claim' && this.#mutant !== 'claimsWithoutName';
    const owner = isNamed ? ownerOf(append) : undefined;
    const resolution = resolveConflict({ ...identity, owner }, lastEntryOf(world.journal));
    switch (resolution.kind) {
      case 'committed': {
        const answered = this.#advance(world, index, append, resolution.sequence);
        steps.push(...answered.map((step) => ({ ...step, label: `${name} finds it stored${step.label}` })));
        return;
      }
      case 'fenced':
        steps.push({
          label: `${name} finds itself fenced by epoch ${resolution.epoch}`,
          next: withNode(world, index, forgotten),
        });
        return;
      case 'outrun': {
        if (append.kind !== 'claim') break;
        const moved = { ...append, expectedLast: resolution.sequence };
        const next = withNode(world, index, { flight: { append: moved, phase: 'sending' } });
        steps.push({ label: `${name} finds the owner before ahead, and claims behind it`, next });
        return;
      }
      case 'again':
        steps.push({
          label: `${name} appends again`,
          next: withNode(world, index, { flight: { append, phase: 'sending' } }),
        });
        return;
      case 'broken':
        break;
      default:
        return resolution satisfies never;
    }
    const what = resolution.kind === 'broken' ? resolution.detail : 'an earlier epoch has written after the claim';
    steps.push({ label: `${name} reads the end`, next: world, broken: `the journal cannot be trusted: ${what}` });
  }

  /** The append is acknowledged: what waited for it goes out. The label tells what that was. */
  #advance(world: World, index: number, append: Append, sequence: number): Step[] {
    const entry = world.journal[sequence - 1];
    const isThere =
      entry !== undefined && isSameAppend(entry, append) && entry.by === index && entry.life === append.life;
    const broken = isThere ? undefined : `epoch ${append.epoch}: what is answered is not in the journal`;
    const known = withNode(world, index, { flight: null, lastSequence: sequence });
    if (append.kind === 'claim') {
      const node = known.nodes[index] as NodeBelief;
      const phase = node.progress === null ? 'recovering' : 'serving';
      const servedEpoch = phase === 'serving' ? Math.max(world.servedEpoch, append.epoch) : world.servedEpoch;
      return [{ label: '', next: { ...withNode(known, index, { phase }), servedEpoch }, broken }];
    }
    return this.#startDriver(known, index, broken);
  }

  /** `StageHost.#start`: after the commit that tells of it, and only while the lease looks good. */
  #startDriver(world: World, index: number, broken?: string): Step[] {
    const node = world.nodes[index] as NodeBelief;
    const driver = node.progress === null ? 0 : driverOf(node.progress);
    if (driver === 0 || driver === node.driver) return [{ label: '', next: world, broken }];
    const stored = progressOf(world.journal, world.journal.length, this.#options.stages);
    const isDurable = typeof stored === 'string' || isStarted(world.journal, driver, this.#options.stages);
    const undurable = isDurable ? undefined : 'a driver starts whose start is not in the journal';
    const started: Step = { label: '', next: withNode(world, index, { driver }), broken: broken ?? undurable };
    if (node.isLeased) return [started];
    // The node may know that its lease is over, or not yet.
    return [
      started,
      { label: ', and the shard is given up: the lease is over', next: withNode(world, index, forgotten), broken },
    ];
  }

  /** `recoverShard`: all that stands before the own claim, whoever wrote it. */
  #recover(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    const progress = progressOf(world.journal, node.lastSequence, this.#options.stages);
    if (typeof progress === 'string') return;
    const next = withNode(world, index, { phase: 'serving', progress });
    const servedEpoch = Math.max(world.servedEpoch, node.epoch);
    steps.push({ label: `${nameOf(index)} recovers and serves`, next: { ...next, servedEpoch } });
  }

  /** `OwnedShards.dropSuperseded`: a lock of a newer epoch is enough. */
  #dropSuperseded(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    if (world.lock.epoch <= node.epoch) return;
    for (const left of this.#leavings(world, node)) {
      steps.push({
        label: `${nameOf(index)} sees a newer owner and drops the shard`,
        next: withNode(left, index, forgotten),
      });
    }
  }

  /** What the owner does when nothing of it is under way. */
  #decide(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    const { progress, driver } = node;
    if (progress === null) return;
    const name = nameOf(index);
    const isDraining = node.phase === 'draining';
    const isOpen = progress.done >= 0 && progress.done < this.#options.stages;
    const record = (label: string, written: Written, change: Partial<NodeBelief> = {}): void =>
      void steps.push(...this.#decideRecord(withNode(world, index, change), index, written, `${name} ${label}`));
    if (driver !== 0) {
      const stage = Math.floor(driver / 16);
      record(`finishes stage ${stage}`, { kind: 'completed', stage, starts: !isDraining }, { driver: 0 });
      if (isDraining) record(`aborts stage ${stage}`, { kind: 'released', stage: 0, starts: false }, { driver: 0 });
    } else if (isDraining) {
      this.#giveBack(world, node, index, steps);
    } else if (progress.done === -1) {
      record('accepts the task', { kind: 'submitted', stage: 0, starts: true });
    } else if (isOpen && this.#mutant === 'restartsUnrecorded') {
      const attempt = progress.attempt + 1;
      const restarted = withNode(world, index, { progress: { done: progress.done, attempt, isRunning: true } });
      for (const step of this.#startDriver(restarted, index))
        steps.push({ ...step, label: `${name} starts the stage again` });
    } else if (isOpen && !this.#isUnresolved(world, index)) {
      record('starts the stage again', { kind: 'restarted', stage: 0, starts: true });
    }
    if (world.faults.notes > 0 && !isDraining) {
      steps.push(
        ...this.#decideRecord(
          withFault(world, 'notes'),
          index,
          { kind: 'noted', stage: 0, starts: false },
          `${name} notes a command`,
        ),
      );
    }
    if (!isDraining && world.faults.handoffs > 0) {
      const begun = withFault(world, 'handoffs');
      if (this.#mutant === 'handsOverUndrained') {
        const next = this.#writeLock(
          begun,
          { owner: -1, life: 0, epoch: node.epoch, revision: 0 },
          node.revision,
        ).world;
        steps.push({ label: `${name} gives the lock back at once`, next });
      } else {
        steps.push({ label: `${name} begins to hand over`, next: withNode(begun, index, { phase: 'draining' }) });
      }
    }
  }

  /** Of the mutant with several appends in flight: whether one of this owner's is under way that nobody waits for. */
  #isUnresolved(world: World, index: number): boolean {
    return this.#mutant === 'severalInFlight' && world.wire.some(({ by }) => by === index);
  }

  /** A decision changes the memory at once; its record goes out, and what follows waits for it. */
  #decideRecord(world: World, index: number, written: Written, label: string): Step[] {
    const node = world.nodes[index] as NodeBelief;
    const progress = node.progress === null ? 'nothing is known' : follow(node.progress, written, this.#options.stages);
    if (typeof progress === 'string') return [{ label, next: world, broken: progress }];
    const decided = this.#send(withNode(world, index, { progress }), index, written);
    if (this.#mutant !== 'actsBeforeCommit') return [{ label, next: decided }];
    return this.#startDriver(decided, index).map((step) => ({ ...step, label }));
  }

  /** `releaseShard`: by compare-and-set, so that it is harmless when the lock was taken meanwhile. */
  #giveBack(world: World, node: NodeBelief, index: number, steps: Step[]): void {
    const free: Lock = { owner: -1, life: 0, epoch: node.epoch, revision: 0 };
    const written = this.#writeLock(world, free, this.#releaseRevision(world, node.revision));
    steps.push({ label: `${nameOf(index)} gives the lock back`, next: withNode(written.world, index, forgotten) });
    this.#loseLockAnswer(world, index, { ...free, expectedRevision: node.revision }, steps);
  }

  #releaseRevision(world: World, revision: number): number {
    return this.#mutant === 'releasesWithoutCondition' ? world.lock.revision : revision;
  }

  /** `LeaseStore.writeShard`: null when the revision is another one. */
  #writeLock(world: World, wanted: Lock, expectedRevision: number): { world: World; revision: number | null } {
    const { lock } = world;
    const isFree = wanted.owner === -1 && this.#mutant === 'releasesWithoutCondition';
    if (lock.revision === expectedRevision || isFree || this.#mutant === 'locksWithoutCondition') {
      const revision = lock.revision + 1;
      // As with appends: what expects another revision never lands, unless the bucket is lost and counts from the start.
      const mayRepeat = world.faults.lockLosses > 0 || this.#mutant !== undefined;
      const lockWire = mayRepeat ? world.lockWire : world.lockWire.filter((late) => late.expectedRevision === revision);
      return { world: { ...world, lock: { ...wanted, revision }, lockWire }, revision };
    }
    const isSame =
      lock.revision > 0 && lock.owner === wanted.owner && lock.life === wanted.life && lock.epoch === wanted.epoch;
    return { world, revision: isSame ? lock.revision : null };
  }

  /** What the journal's server does with an append that arrives: `MemoryJournal`, whose rules the contract suite pins to NATS. */
  #handle(world: World, append: Append): Handled {
    const { journal } = world;
    const isStored = (entry: Entry): boolean =>
      this.#mutant === 'claimsWithoutName'
        ? entry.epoch === append.epoch && entry.batch === append.batch
        : isSameAppend(entry, append);
    const stored = journal.findIndex(isStored) + 1;
    const isExpected = append.expectedLast === journal.length || this.#mutant === 'appendsWithoutCondition';
    if (stored > 0 && (this.#options.replicas === 3 || isExpected))
      return { kind: 'committed', sequence: stored, world };
    if (!isExpected) return { kind: 'conflict', world };
    const { expectedLast: _, ...entry } = append;
    const broken =
      append.epoch < world.servedEpoch
        ? `epoch ${append.epoch} writes after epoch ${world.servedEpoch} has served`
        : undefined;
    const wire = this.#stillLanding(world.wire, journal.length + 1);
    const next = { ...world, journal: [...journal, entry], wire };
    return { kind: 'committed', sequence: journal.length + 1, world: next, broken };
  }

  /** What expects another end will never land: to keep it would only make equal worlds look different. */
  #stillLanding(wire: readonly Append[], length: number): readonly Append[] {
    if (this.#mutant === 'appendsWithoutCondition') return wire;
    return wire.filter(({ expectedLast }) => expectedLast === length);
  }

  /** A node that drops the shard may leave its append on the way: with and without it. */
  #leavings(world: World, { flight }: NodeBelief): World[] {
    if (flight?.phase !== 'sending' || world.wire.some((other) => isSameAppend(other, flight.append))) return [world];
    if (this.#stillLanding([flight.append], world.journal.length).length === 0) return [world];
    return [world, { ...world, wire: [...world.wire, flight.append] }];
  }
}

const shard = 0 as ShardId;

function claimantOf(node: number, life: number): Claimant {
  return { nodeId: nameOf(node) as NodeId, incarnation: String(life) };
}

function nameOf(node: number): string {
  return node === -1 ? 'nobody' : String.fromCharCode(65 + node);
}

function textOf({ kind, stage, epoch, batch }: Entry): string {
  return `${kind}${stage > 0 ? ` ${stage}` : ''} (epoch ${epoch}, batch ${batch})`;
}

/** The message id: shard, epoch and batch, and of a claim the owner. */
function isSameAppend(left: Entry, right: Entry): boolean {
  if (left.epoch !== right.epoch || left.batch !== right.batch) return false;
  return left.kind !== 'claim' || (left.by === right.by && left.life === right.life);
}

function ownerOf({ epoch, by, life }: Entry): OwnerChange {
  const { nodeId: node, incarnation } = claimantOf(by, life);
  return { epoch: epoch as Epoch, node, incarnation };
}

/** What is wrong with an entry after the one before it. */
function chainFault(before: Entry | undefined, entry: Entry, needsNoClaim: boolean): string | null {
  const { epoch, batch, by, life, kind } = entry;
  if (before !== undefined && epoch < before.epoch) return `epoch ${epoch} writes after epoch ${before.epoch}`;
  if (epoch === before?.epoch) {
    if (by !== before.by || life !== before.life) return `two owners commit in epoch ${epoch}`;
    return batch === before.batch + 1 ? null : `batch ${batch} of epoch ${epoch} follows batch ${before.batch}`;
  }
  return kind === 'claim' || needsNoClaim ? null : `epoch ${epoch} begins without its claim`;
}

/** Whether the start of a stage's attempt is stored. */
function isStarted(journal: readonly Entry[], driver: number, stageCount: number): boolean {
  for (let through = journal.length; through > 0; through -= 1) {
    const progress = progressOf(journal, through, stageCount);
    if (typeof progress !== 'string' && driverOf(progress) === driver) return true;
  }
  return false;
}

const bodies = new Map<string, Uint8Array>();

/** The last entry as the engine reads it, in the bytes of a real commit. */
function lastEntryOf(journal: readonly Entry[]): JournalEntry | null {
  const last = journal.at(-1);
  if (last === undefined) return null;
  const { epoch, batch, kind, by, life } = last;
  const name = `${epoch}.${batch}.${kind === 'claim' ? `${by}.${life}` : ''}`;
  let body = bodies.get(name);
  if (body === undefined) {
    const owner = kind === 'claim' ? { owner: ownerOf(last) } : {};
    body = assembleCommit({ format: commitFormat, epoch: epoch as Epoch, batch, at: 0, ...owner }, []);
    bodies.set(name, body);
  }
  return { shard, sequence: journal.length as Sequence, storedAt: 0, body };
}
