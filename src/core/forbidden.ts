import { EngineError } from './errors.ts';

/** What the bus does not let this user do. */
export interface ForbiddenOperation {
  readonly operation: 'publish' | 'subscription';
  readonly subject: string;
}

/** The `BUS_FORBIDDEN` of an operation, with what mends it. */
export function forbiddenError({ operation, subject }: ForbiddenOperation): EngineError {
  if (operation === 'publish') {
    return new EngineError('BUS_FORBIDDEN', `the NATS user may not publish to ${subject}`, {
      field: subject,
      hint: 'use the key of a role that may (`cabinet nats-config` writes them), or give this one the permission',
    });
  }
  return new EngineError('BUS_FORBIDDEN', `the NATS user may not subscribe to ${subject}: no answer can reach it`, {
    field: subject,
    hint: 'set the inbox prefix of its role (`--inbox-prefix`, NATS_INBOX_PREFIX); what was sent before may have been done: repeat it with the same ids',
  });
}
