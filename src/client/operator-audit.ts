import { asError, EngineError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { AuditEntry, AuditLog } from '../ports/audit-log.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';

/** What an operator asks for, as the audit log has it. */
export interface OperatorAction {
  /** Such as `task.cancel`: the names of the admin API. */
  readonly action: string;
  /** What it is about; null: nothing single. */
  readonly target: string | null;
  readonly by?: string | undefined;
  readonly reason?: string | undefined;
  readonly commandId?: string | undefined;
  /** What else was asked, such as a filter. */
  readonly parameters?: JsonValue;
  /** How it stood before, if that is known. */
  readonly before?: JsonValue;
}

/** What {@link OperatorAudit} works with. */
export interface OperatorAuditDeps {
  readonly log: AuditLog;
  /** Makes the log's stream if nobody has yet. */
  readonly ensure: () => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Who asks when an action does not say. */
  readonly by: string;
  /** From where, such as `cli@host`. */
  readonly address: string;
}

/**
 * Writes what operators do past the admin API, at a command line or by an agent, into the same audit log: before it takes effect,
 * and what came of it.
 *
 * Who may not write the log on NATS is no operator there, but a client; what a client asks for stands in the journal alone. That is the
 * server's decision, so nobody can leave the log out who has an operator's key.
 */
export class OperatorAudit {
  readonly #deps: OperatorAuditDeps;
  #ensured: Promise<boolean> | null = null;

  constructor(deps: OperatorAuditDeps) {
    this.#deps = deps;
  }

  /**
   * Writes the action down, does it, and writes down what came of it.
   *
   * @param after - what the result says of how it stands now
   * @throws EngineError of the log when it cannot be written, and then nothing was done; else what `act` throws
   */
  async record<Result>(
    action: OperatorAction,
    act: () => Promise<Result>,
    after: (result: Result) => JsonValue = () => null,
  ): Promise<Result> {
    this.#ensured ??= this.#ensure();
    if (!(await this.#ensured)) return act();
    const requestId = this.#deps.random.id();
    await this.#append(action, requestId, { outcome: 'allowed', code: null, after: null });
    try {
      const result = await act();
      await this.#appendAfter(action, requestId, { outcome: 'done', code: null, after: after(result) });
      return result;
    } catch (thrown) {
      const code = thrown instanceof EngineError ? thrown.code : 'INTERNAL';
      await this.#appendAfter(action, requestId, { outcome: 'failed', code, after: null });
      throw thrown;
    }
  }

  /** Whether this one may write the log. */
  async #ensure(): Promise<boolean> {
    try {
      await this.#deps.ensure();
      return true;
    } catch (thrown) {
      if (!(thrown instanceof EngineError && thrown.code === 'BUS_FORBIDDEN')) throw thrown;
      this.#deps.logger.info({}, 'the audit log is not for this user: what it asks for stands in the journal alone');
      return false;
    }
  }

  /** What has happened has happened: a line that is lost is said in the log, not to who asked. */
  async #appendAfter(
    action: OperatorAction,
    requestId: string,
    outcome: Pick<AuditEntry, 'outcome' | 'code' | 'after'>,
  ): Promise<void> {
    try {
      await this.#append(action, requestId, outcome);
    } catch (thrown) {
      const fields = { err: asError(thrown), action: action.action, outcome: outcome.outcome };
      this.#deps.logger.error(fields, 'a line of the audit log is lost');
    }
  }

  async #append(
    { action, target, by, reason, commandId, parameters, before }: OperatorAction,
    requestId: string,
    outcome: Pick<AuditEntry, 'outcome' | 'code' | 'after'>,
  ): Promise<void> {
    const { log, clock, address } = this.#deps;
    await log.append({
      at: clock.now(),
      principal: by ?? this.#deps.by,
      // The key's role on NATS, which the log does not know.
      role: null,
      address,
      action,
      target,
      ...(parameters === undefined ? {} : { parameters }),
      reason: reason ?? null,
      commandId: commandId ?? null,
      requestId,
      before: before ?? null,
      ...outcome,
    });
  }
}
