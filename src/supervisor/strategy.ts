import { assert, EngineError, unreachable, type ErrorCode } from '../core/errors.ts';
import { noteCrash, type RestartIntensity } from '../core/restart-intensity.ts';

/** Which children a restart concerns: the failed one, it and those started after it, or all. */
export type SupervisorStrategy = 'oneForOne' | 'restForOne' | 'oneForAll';

/** What is done about a failure: go on as if nothing was, start anew, end it, or let the supervisor's own supervisor decide. */
export type Directive = 'resume' | 'restart' | 'stop' | 'escalate';

/** How a supervisor treats its children. */
export interface SupervisionPolicy {
  readonly strategy: SupervisorStrategy;
  /** Restarts of the whole supervisor's children within the period before it escalates. */
  readonly limit: RestartIntensity;
}

/** What a supervisor does. Children are stopped in the reverse of their order of start. */
export type SupervisionDecision<Child> =
  | { readonly kind: 'resume'; readonly crashesMs: readonly number[] }
  | {
      readonly kind: 'restart';
      readonly stop: readonly Child[];
      readonly start: readonly Child[];
      readonly crashesMs: readonly number[];
    }
  | { readonly kind: 'stop'; readonly stop: readonly Child[]; readonly crashesMs: readonly number[] }
  | {
      readonly kind: 'escalate';
      readonly stop: readonly Child[];
      readonly why: 'directive' | 'intensityExceeded';
      readonly crashesMs: readonly number[];
    };

/**
 * What a supervisor does about a child that failed. Pure.
 *
 * A failed child counts as stopped already; it is in `stop` all the same, so that what it left behind is put away. Only restarts
 * count against the intensity: a child that is resumed or ended cannot make its supervisor loop.
 *
 * @param children - those that run, in order of start, the failed one among them
 * @param crashesMs - of the decision before, by a monotonic clock; empty at the start
 * @see Erlang/OTP's `supervisor` for the strategies and the intensity; Akka's supervisor strategies for the directives
 */
export function superviseFailure<Child>(input: {
  readonly policy: SupervisionPolicy;
  readonly children: readonly Child[];
  readonly failed: Child;
  readonly directive: Directive;
  readonly crashesMs: readonly number[];
  readonly nowMs: number;
}): SupervisionDecision<Child> {
  const { policy, children, failed, directive, crashesMs, nowMs } = input;
  assert(children.includes(failed), () => 'supervision: the failed child is not one of the children');
  switch (directive) {
    case 'resume':
      return { kind: 'resume', crashesMs };
    case 'stop':
      return { kind: 'stop', stop: [failed], crashesMs };
    case 'escalate':
      return { kind: 'escalate', stop: children.toReversed(), why: 'directive', crashesMs };
    case 'restart': {
      const noted = noteCrash(policy.limit, crashesMs, nowMs);
      if (!noted.mayRestart) {
        return {
          kind: 'escalate',
          stop: children.toReversed(),
          why: 'intensityExceeded',
          crashesMs: noted.crashesMs,
        };
      }
      const start = concerned(policy.strategy, children, failed);
      return { kind: 'restart', stop: start.toReversed(), start, crashesMs: noted.crashesMs };
    }
    default:
      return unreachable(directive);
  }
}

/** Failures that a restart cannot mend: the same start meets the same end. */
const notMended: readonly ErrorCode[] = [
  'CONFIG_INVALID',
  'DEFINITION_CHANGED',
  'SERVER_VERSION_UNSUPPORTED',
  'JETSTREAM_DISABLED',
  'BUS_FORBIDDEN',
  'DURABILITY_UNSAFE',
  'STREAM_MISCONFIGURED',
  'SELF_TEST_FAILED',
  'LOG_REGRESSED',
];

/**
 * The directive for what a shard or node failed with, where nothing nearer is known.
 *
 * A shard that another node owns is ended here; a damaged one too, for it alone, that its siblings go on. What concerns the
 * whole node is escalated. Everything else is worth another start, bugs included: state comes back from the journal.
 */
export function directiveFor(error: Error): Directive {
  if (!(error instanceof EngineError)) return 'restart';
  if (error.code === 'OWNERSHIP_LOST' || error.code === 'CANCELED') return 'stop';
  if (error.code === 'RECORD_CORRUPT' || error.code === 'REPLAY_DIVERGED') return 'stop';
  return notMended.includes(error.code) ? 'escalate' : 'restart';
}

function concerned<Child>(strategy: SupervisorStrategy, children: readonly Child[], failed: Child): readonly Child[] {
  if (strategy === 'oneForOne') return [failed];
  return strategy === 'oneForAll' ? children : children.slice(children.indexOf(failed));
}
