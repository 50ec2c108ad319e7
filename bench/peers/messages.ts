// What the parent and the load client of a system say to each other.

/** What the parent asks for. */
export type LoadRequest =
  | {
      /** Lanes that each submit a task, wait for its result and go on: first to warm up, then measured. */
      readonly type: 'load';
      readonly inFlight: number;
      readonly warmUpSeconds: number;
      readonly seconds: number;
    }
  | {
      /** One task after the other. */
      readonly type: 'alone';
      readonly warmUpTasks: number;
      readonly tasks: number;
    }
  | {
      /** A known number of tasks, and word when `noticeAt` of them are done. */
      readonly type: 'batch';
      readonly tasks: number;
      readonly inFlight: number;
      readonly noticeAt: number;
    }
  | { /** How many of the batch are done? */ readonly type: 'count' }
  | { readonly type: 'stop' };

/** What the load client answers. */
export type LoadReply =
  | { readonly type: 'ready' }
  | { /** The warm-up is over and the measured time begins. */ readonly type: 'measuring' }
  | {
      /** The measured time is over; the lanes still wait for their last results. */
      readonly type: 'measured';
      /** Completed within the measured time. */
      readonly tasks: number;
      readonly seconds: number;
      readonly p50Ms: number;
      readonly p99Ms: number;
    }
  | { /** Nothing of the load is in flight anymore. */ readonly type: 'drained' }
  | { readonly type: 'aloneMeasured'; readonly p50Ms: number; readonly p99Ms: number }
  | { readonly type: 'reached' }
  | { readonly type: 'finished' }
  | { readonly type: 'counted'; readonly done: number };
