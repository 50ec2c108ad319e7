/** What a journal entry of the model tells. `noted` stands for any record that changes no stage, such as a pause. */
export type RecordKind = 'claim' | 'submitted' | 'completed' | 'restarted' | 'released' | 'noted';

/** The part of a commit that the model tells apart. */
export interface Written {
  readonly kind: RecordKind;
  /** The stage that is completed, from 1; 0 for the other kinds. */
  readonly stage: number;
  /** Whether the next stage starts with this very record. */
  readonly starts: boolean;
}

/** One message of the journal; its place in the list, from 1, is its sequence. */
export interface Entry extends Written {
  readonly epoch: number;
  readonly batch: number;
  /** The node that wrote it, and which of its lives. */
  readonly by: number;
  readonly life: number;
}

/** An append as it is sent: the same on every repeat. */
export interface Append extends Entry {
  readonly expectedLast: number;
}

/** The shard's lock as the store has it. `owner` -1: free. */
export interface Lock {
  readonly owner: number;
  readonly life: number;
  readonly epoch: number;
  readonly revision: number;
}

/** A compare-and-set of the lock whose answer nobody waits for any more. */
export interface LateLock extends Lock {
  readonly expectedRevision: number;
}

/** Where the one task of the model stands. `done` -1: not submitted yet. */
export interface Progress {
  readonly done: number;
  /** Starts of the current stage. */
  readonly attempt: number;
  readonly isRunning: boolean;
}

/** The append that a node waits for. Its outcome is asked for again and again, as group commit does. */
export interface Flight {
  readonly append: Append;
  /** `conflict`: refused, and the journal's last message is to be read. */
  readonly phase: 'sending' | 'conflict';
}

/** How far a node is with the shard: see `src/supervisor/owned-shards.ts`. */
export const phases = ['idle', 'looked', 'read', 'claiming', 'recovering', 'serving', 'draining'] as const;
/** One of the {@link phases}. */
export type Phase = (typeof phases)[number];

/** One node: what it believes. */
export interface NodeBelief {
  readonly phase: Phase;
  /** Counts its incarnations. */
  readonly life: number;
  /** Whether the store holds a lease of this life. The node itself does not see when it ends. */
  readonly isLeased: boolean;
  readonly epoch: number;
  /** Of the lock: what it saw while it takes it, what it holds afterwards. */
  readonly revision: number;
  readonly lastSequence: number;
  readonly batch: number;
  readonly flight: Flight | null;
  /** The task in memory, with what is in flight. */
  readonly progress: Progress | null;
  /** The stage and attempt that a driver works on here; 0 for none. */
  readonly driver: number;
  /** The highest epoch that it ever had: nothing asks for it but a mutant. */
  readonly ownEpoch: number;
}

/** How much may still go wrong. */
export interface Faults {
  /** Leases that run out, at any moment. */
  readonly expiries: number;
  /** Appends and locks whose outcome stays unknown: stored and not told, stored later, or never. */
  readonly unknowns: number;
  readonly crashes: number;
  readonly handoffs: number;
  /** Losses of the bucket with the lock, as after a restore from a backup. */
  readonly lockLosses: number;
  /** Records that change no stage. */
  readonly notes: number;
}

/** Everything at one moment. */
export interface World {
  readonly journal: readonly Entry[];
  readonly lock: Lock;
  readonly nodes: readonly NodeBelief[];
  /** Appends that nobody waits for any more, and that may still land. */
  readonly wire: readonly Append[];
  readonly lockWire: readonly LateLock[];
  readonly faults: Faults;
  /** The highest epoch that has served. */
  readonly servedEpoch: number;
  /** Whether a lease ever ran out, or the lock was lost: then two may hold themselves to be the owner for a while. */
  readonly isDisturbed: boolean;
}

/** A node that has nothing yet. */
const newNode: NodeBelief = {
  phase: 'idle',
  life: 0,
  isLeased: true,
  epoch: 0,
  revision: 0,
  lastSequence: 0,
  batch: 0,
  flight: null,
  progress: null,
  driver: 0,
  ownEpoch: 0,
};

/** Nodes that have just started, over empty stores. */
export function newWorld(nodeCount: number, faults: Faults): World {
  return {
    journal: [],
    lock: { owner: -1, life: 0, epoch: 0, revision: 0 },
    nodes: Array.from({ length: nodeCount }, () => newNode),
    wire: [],
    lockWire: [],
    faults,
    servedEpoch: 0,
    isDisturbed: false,
  };
}

/** The world with one node's belief changed. */
export function withNode(world: World, index: number, change: Partial<NodeBelief>): World {
  const node = world.nodes[index] ?? newNode;
  return { ...world, nodes: world.nodes.with(index, { ...node, ...change }) };
}

/** The world with one fault less to come. */
export function withFault(world: World, kind: keyof Faults): World {
  return { ...world, faults: { ...world.faults, [kind]: world.faults[kind] - 1 } };
}

/** What drops a node's whole memory of the shard. */
export const forgotten = {
  phase: 'idle',
  epoch: 0,
  revision: 0,
  lastSequence: 0,
  batch: 0,
  flight: null,
  progress: null,
  driver: 0,
} as const satisfies Partial<NodeBelief>;

const unsubmitted: Progress = { done: -1, attempt: 0, isRunning: false };

/** The task after a record, or what the record breaks: the model's own rules of a task, apart from the engine's machine. */
export function follow(progress: Progress, written: Written, stageCount: number): Progress | string {
  const { done, attempt, isRunning } = progress;
  switch (written.kind) {
    case 'claim':
    case 'noted':
      return progress;
    case 'submitted':
      return done === -1 ? { done: 0, attempt: 1, isRunning: true } : 'the task is accepted twice';
    case 'completed': {
      if (written.stage <= done) return `stage ${written.stage} is recorded twice`;
      if (!isRunning || written.stage !== done + 1) return `stage ${written.stage} ends without its start`;
      const goesOn = written.stage < stageCount && written.starts;
      return { done: written.stage, attempt: goesOn ? 1 : 0, isRunning: goesOn };
    }
    case 'released':
      return isRunning ? { done, attempt, isRunning: false } : 'a stage is released that does not run';
    case 'restarted':
      if (done < 0 || done >= stageCount) return 'a stage starts that is not the next one';
      return { done, attempt: attempt + 1, isRunning: true };
    default:
      return written.kind satisfies never;
  }
}

/** The task as the first entries of the journal make it; or what they break. */
export function progressOf(journal: readonly Entry[], through: number, stageCount: number): Progress | string {
  let progress = unsubmitted;
  for (let index = 0; index < through; index += 1) {
    const entry = journal[index];
    if (entry === undefined) break;
    const next = follow(progress, entry, stageCount);
    if (typeof next === 'string') return `${next} (sequence ${index + 1})`;
    progress = next;
  }
  return progress;
}

/** The stage and the attempt that a driver would work on; 0 when none is to run. */
export function driverOf({ done, attempt, isRunning }: Progress): number {
  return isRunning ? (done + 1) * 16 + attempt : 0;
}
