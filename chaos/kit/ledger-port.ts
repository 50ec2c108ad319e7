import { RetryableError, UncertainError } from '../../src/core/driver-errors.ts';
import type { LookupAnswer, StageContext } from '../../src/ports/driver.ts';
import type { EffectRequest } from '../../test/support/ledger.ts';

type Context = Pick<StageContext, 'idempotencyKey' | 'taskId' | 'stage' | 'attempt' | 'fence' | 'ports' | 'signal'>;

/** What an effect gives. */
export interface Receipt {
  readonly receipt: string;
}

/**
 * Changes the ledger. @throws RetryableError `FENCED` when the ledger knows a newer owner, and has changed nothing: this attempt's
 * failure will not be recorded, or nothing is lost when it is
 */
export async function applyEffect(ctx: Context, mode: EffectRequest['mode'], suffix = ''): Promise<Receipt> {
  const answer = await ask(ctx, 'effects', mode, suffix);
  if (answer.status === 409) throw new RetryableError('the ledger knows a newer owner', { code: 'FENCED' });
  return (await answer.json()) as Receipt;
}

/** Asks the ledger what became of the stage's effect; from then on it refuses what an older attempt asks for. */
export async function lookUpEffect(ctx: Context): Promise<LookupAnswer<Receipt>> {
  const answer = await ask(ctx, 'lookup', 'blind', '');
  return (await answer.json()) as LookupAnswer<Receipt>;
}

async function ask(ctx: Context, path: string, mode: EffectRequest['mode'], suffix: string): Promise<Response> {
  const { idempotencyKey, taskId, stage, attempt, fence, signal, ports } = ctx;
  const body: EffectRequest = { key: `${idempotencyKey}${suffix}`, taskId, stage, attempt, fence, mode };
  try {
    return await fetch(`${String(ports['ledgerUrl'])}/${path}`, { method: 'POST', body: JSON.stringify(body), signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new UncertainError(`the ledger did not answer ${path}`, { cause: error });
  }
}
