import { encodeNodeMessage } from '../core/node-messages.ts';
import { parseNodeId } from '../core/ids.ts';
import { clusterSubject } from '../core/subjects.ts';
import type { Random } from '../ports/random.ts';
import { NodeProcess } from './node-process.ts';
import type { WorldParts } from './world-parts.ts';

/** Until a process that ended by itself is started again, as a supervisor does. */
const leastRestartMs = 500;
const usualRestartMs = 4_000;

/** One node of the cluster: its processes, one after the other. */
export class SimulatedNode {
  readonly nodeId: string;
  readonly #parts: WorldParts;
  readonly #random: Random;
  #life: NodeProcess | null = null;
  #lives = 0;
  #wallOffsetMs = 0;
  /** Reasons for which it must not run now. */
  #holds = 0;

  constructor(parts: WorldParts, nodeId: string, random: Random) {
    this.#parts = parts;
    this.nodeId = nodeId;
    this.#random = random;
  }

  /** The process that runs; null between two. */
  get life(): NodeProcess | null {
    return this.#life;
  }

  get isRunning(): boolean {
    return this.#life?.process.isRunning === true;
  }

  /** Starts a process, when none runs and nothing speaks against it. */
  start(): void {
    if (this.#life !== null || this.#holds > 0) return;
    this.#lives += 1;
    const life = new NodeProcess(
      this.#parts,
      { nodeId: this.nodeId, number: this.#lives, wallOffsetMs: this.#wallOffsetMs },
      () => {
        if (this.#life === life) this.#life = null;
        this.#restartLater();
      },
    );
    this.#life = life;
    life.start();
  }

  /**
   * Kills its process, and holds it down until the returned function is called.
   *
   * @param tellsExit - whether its supervisor tells the other nodes
   */
  crash(tellsExit: boolean): () => void {
    const life = this.#life;
    this.#life = null;
    if (life !== null) {
      const { incarnation } = life.name;
      life.kill();
      if (tellsExit) this.#tellExited(incarnation);
    }
    return this.#hold();
  }

  /** Stops its process as SIGSTOP does, until the returned function is called. */
  freeze(): () => void {
    const process = this.#life?.process;
    process?.freeze();
    return () => process?.thaw();
  }

  /** Drains its process, and keeps it down until the returned function is called. */
  drain(graceMs: number): () => void {
    this.#life?.drain(graceMs);
    return this.#hold();
  }

  jumpWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
    this.#life?.process.jumpWallClock(byMs);
  }

  setClockRight(): void {
    this.jumpWallClock(-this.#wallOffsetMs);
  }

  #hold(): () => void {
    this.#holds += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds -= 1;
      this.start();
    };
  }

  #restartLater(): void {
    const delayMs = leastRestartMs + this.#random.next() * usualRestartMs;
    this.#parts.scheduler.after(delayMs, `restart ${this.nodeId}`, () => this.start());
  }

  #tellExited(incarnation: string): void {
    const { bus, network, config } = this.#parts;
    const body = encodeNodeMessage({ nodeId: parseNodeId(this.nodeId), incarnation });
    const subject = clusterSubject(config.namespace, 'exited');
    network.send('supervisor', 'bus', () => bus.route({ subject, body, headers: new Map() }, undefined));
  }
}
