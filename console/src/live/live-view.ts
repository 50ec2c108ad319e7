import { effect } from '@preact/signals';
import { asApiError, type ApiError } from '../api/http.ts';
import type { LinkNotice, LinkTopic } from './link-state.ts';
import { liveLink } from './live-link.ts';
import { markStale, noteLoaded } from './staleness.ts';

/** Data that is kept fresh. */
export interface Live<Data> {
  /** The newest that was loaded; null before the first. */
  readonly data: Data | null;
  /** Of the last try; null when it went well. */
  readonly error: ApiError | null;
  /** When `data` was loaded. */
  readonly loadedAt: number | null;
  /** Since when it could not be refreshed; null while it can. */
  readonly staleSince: number | null;
}

/** What the page makes of what it is told of a topic. */
export interface LiveTopic<Data> extends LinkTopic {
  /**
   * The data after a snapshot or a delta. Null: it tells nothing new. `mustLoad`: it is to be loaded, at once or soon; what is given
   * beside it is shown until then. Left out: whatever comes, the data is loaded.
   */
  readonly take?: (
    told: { readonly kind: 'snapshot' | 'delta'; readonly data: unknown },
    before: Data | null,
  ) => { readonly data?: Data; readonly mustLoad: boolean } | null;
  /** Least time from one load to the next. */
  readonly gapMs?: number;
  /** Loads also while nothing is told: what is shown depends on the time of day. */
  readonly refreshMs?: number | undefined;
}

/** How data of a topic is got. */
export interface LiveSource<Data> {
  readonly load: (signal: AbortSignal) => Promise<Data>;
  /** Time from one answer to the next question, where nothing tells of changes. */
  readonly everyMs: number;
  /** What was asked for: another key begins anew. */
  readonly key: string;
  readonly isPaused?: boolean;
  /** What tells of changes; without one the server is asked again and again. */
  readonly topic?: LiveTopic<Data>;
}

/** Before anything was loaded. */
export const nothingYet: Live<never> = { data: null, error: null, loadedAt: null, staleSince: null };
/** Slowest pace while the server does not answer. */
const slowestMs = 15_000;
const usualGapMs = 300;
/** How long the socket may take for its first word, before the data is loaded without it. */
const patienceMs = 2_000;

/**
 * One view's data. It is told by the socket where its source has a topic, and asks again and again where it has none, where the
 * server has ended its subscription, and where no socket can be opened.
 *
 * It rests while the page is hidden, and gets slower while the server does not answer.
 */
export class LiveView<Data> {
  readonly #source: () => LiveSource<Data>;
  readonly #key: string;
  readonly #onChange: (live: Live<Data>) => void;
  readonly #stop = new AbortController();
  readonly #ends: (() => void)[] = [];
  #live: Live<Data> = nothingYet;
  #timer: number | undefined;
  /** When the timer is due. */
  #dueAt = Number.POSITIVE_INFINITY;
  #startedAt = 0;
  #failures = 0;
  #isLoading = false;
  /** Something has changed while it was loaded, or while the page was hidden. */
  #isDirty = false;
  #isOpen = false;
  #hasFailed = false;
  /** Grows when the socket has told the data itself: a load that began before is older. */
  #told = 0;

  constructor(source: () => LiveSource<Data>, onChange: (live: Live<Data>) => void) {
    this.#source = source;
    this.#key = source().key;
    this.#onChange = onChange;
  }

  start(): void {
    const wake = (): void => {
      if (!document.hidden && (this.#isDirty || this.#polls)) this.#loadIn(0);
    };
    document.addEventListener('visibilitychange', wake);
    this.#ends.push(() => document.removeEventListener('visibilitychange', wake));
    const { topic } = this.#source();
    if (topic === undefined) {
      this.#loadIn(0);
      return;
    }
    // The first data does not wait for a socket that is only being opened, nor for long for a word of one that is open.
    this.#loadIn(liveLink.status.peek() === 'live' ? patienceMs : 0);
    this.#ends.push(liveLink.subscribe(topic, (notice) => this.#note(notice)));
    this.#ends.push(
      effect(() => {
        if (liveLink.status.value === 'polling') this.#loadIn(0);
      }),
    );
  }

  stop(): void {
    this.#stop.abort();
    window.clearTimeout(this.#timer);
    for (const end of this.#ends) end();
    markStale(this.#key, null);
  }

  get #polls(): boolean {
    if (this.#source().topic === undefined || this.#hasFailed) return true;
    return !this.#isOpen && liveLink.status.peek() === 'polling';
  }

  #note(notice: LinkNotice): void {
    switch (notice.kind) {
      case 'snapshot':
      case 'delta':
        this.#opened();
        this.#take({ kind: notice.kind, data: notice.data });
        return;
      case 'resumed':
        this.#opened();
        if (this.#live.data === null || this.#live.error !== null) this.#loadIn(0);
        return;
      case 'gap':
        this.#loadSoon();
        return;
      case 'failed':
        this.#isOpen = false;
        this.#hasFailed = true;
        this.#loadSoon();
        return;
      case 'down':
        this.#isOpen = false;
        return;
      default:
        notice satisfies never;
    }
  }

  #opened(): void {
    this.#isOpen = true;
    this.#hasFailed = false;
  }

  #take(told: { readonly kind: 'snapshot' | 'delta'; readonly data: unknown }): void {
    const take = this.#source().topic?.take;
    const taken = take === undefined ? { mustLoad: true } : take(told, this.#live.data);
    if (taken === null) return;
    if ('data' in taken && taken.data !== undefined) {
      this.#show(taken.data);
    }
    if (taken.mustLoad) {
      this.#loadSoon();
      return;
    }
    this.#told += 1;
    window.clearTimeout(this.#timer);
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#schedule();
  }

  #show(data: Data): void {
    this.#failures = 0;
    markStale(this.#key, null);
    const now = Date.now();
    noteLoaded(now);
    this.#live = { data, error: null, loadedAt: now, staleSince: null };
    this.#onChange(this.#live);
  }

  #loadSoon(): void {
    const gapMs = this.#source().topic?.gapMs ?? usualGapMs;
    this.#isDirty = true;
    if (!this.#isLoading) this.#loadIn(Math.max(0, this.#startedAt + gapMs - Date.now()));
  }

  /** Keeps the earlier one of two times. */
  #loadIn(delayMs: number): void {
    const due = Date.now() + delayMs;
    if (this.#stop.signal.aborted || due >= this.#dueAt) return;
    window.clearTimeout(this.#timer);
    this.#dueAt = due;
    this.#timer = window.setTimeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      if (document.hidden) this.#isDirty = true;
      else if (!this.#isLoading) void this.#load();
    }, delayMs);
  }

  /** What comes next when nothing happens. */
  #schedule(): void {
    const { everyMs, topic } = this.#source();
    if (this.#isDirty) this.#loadSoon();
    else if (this.#polls) this.#loadIn(Math.min(everyMs * 2 ** this.#failures, Math.max(slowestMs, everyMs)));
    else if (this.#failures > 0) this.#loadIn(Math.min(1_000 * 2 ** this.#failures, slowestMs));
    else if (topic?.refreshMs !== undefined) this.#loadIn(topic.refreshMs);
  }

  async #load(): Promise<void> {
    this.#isLoading = true;
    this.#isDirty = false;
    this.#startedAt = Date.now();
    const told = this.#told;
    try {
      const data = await this.#source().load(this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      if (told === this.#told) this.#show(data);
    } catch (thrown) {
      if (this.#stop.signal.aborted) return;
      this.#failures = Math.min(this.#failures + 1, 4);
      const now = Date.now();
      markStale(this.#key, now);
      const { data, loadedAt, staleSince } = this.#live;
      this.#live = { data, loadedAt, error: asApiError(thrown), staleSince: staleSince ?? loadedAt ?? now };
      this.#onChange(this.#live);
    } finally {
      this.#isLoading = false;
      if (!this.#stop.signal.aborted) this.#schedule();
    }
  }

  /** Loads at once. */
  refresh(): void {
    this.#isDirty = true;
    if (!this.#isLoading) this.#loadIn(0);
  }
}
