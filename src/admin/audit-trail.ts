import type { JsonValue } from '../core/json.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { AdminAuditEntry, AuditSink } from './audit-sink.ts';
import type { Principal } from './principal.ts';
import type { AuditSubject } from './route.ts';

/** What the audit log is told of a request beside its subject. */
export interface AuditedRequest {
  readonly requestId: string;
  readonly address: string;
  readonly principal: Principal | null;
}

/** What came, or will come, of an action. */
export interface AuditOutcome {
  readonly outcome: AdminAuditEntry['outcome'];
  readonly code?: string | null;
  readonly before?: JsonValue | undefined;
  readonly after?: JsonValue | undefined;
}

/** Writes down who asked for what, before it is done, and what came of it. */
export class AuditTrail {
  readonly #deps: { readonly sink: Pick<AuditSink, 'append'>; readonly clock: Clock; readonly logger: Logger };

  constructor(deps: { readonly sink: Pick<AuditSink, 'append'>; readonly clock: Clock; readonly logger: Logger }) {
    this.#deps = deps;
  }

  /** Before the action. @throws EngineError `UNAVAILABLE`: then nothing may be done */
  before(request: AuditedRequest, subject: AuditSubject): Promise<void> {
    return this.#append(request, subject, { outcome: 'allowed' });
  }

  /** After it, or in its place. What has happened has happened: a line that is lost is said in the log, not to the caller. */
  async after(request: AuditedRequest, subject: AuditSubject, outcome: AuditOutcome): Promise<void> {
    try {
      await this.#append(request, subject, outcome);
    } catch (error) {
      const { requestId } = request;
      const fields = { err: error, requestId, action: subject.action, outcome: outcome.outcome };
      this.#deps.logger.error(fields, 'a line of the audit log is lost');
    }
  }

  #append(
    request: AuditedRequest,
    subject: AuditSubject,
    { outcome, code, before, after }: AuditOutcome,
  ): Promise<void> {
    const { principal, address, requestId } = request;
    const { action, target, reason, commandId } = subject;
    return this.#deps.sink.append({
      at: this.#deps.clock.now(),
      principal: principal?.name ?? null,
      role: principal?.role ?? null,
      address,
      action,
      target: target ?? null,
      reason: reason ?? null,
      commandId: commandId ?? null,
      requestId,
      outcome,
      code: code ?? null,
      before: before ?? null,
      after: after ?? null,
    });
  }
}
