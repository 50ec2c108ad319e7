import { join, resolve } from 'node:path';

import { format, resolveConfig } from 'prettier';

import { errorCatalog } from '../src/core/errors.ts';

/** Where the page lies. */
export const errorsPageFile = join(resolve(import.meta.dirname, '..'), 'docs/ERRORS.md');

/** The page of all error codes, from `errorCatalog`. */
export async function formatErrorsPage(): Promise<string> {
  const rows = Object.entries(errorCatalog).map(
    ([code, { retryable, meaning }]) => `| \`${code}\` | ${meaning} | ${retryable ? 'yes' : 'no'} |`,
  );
  const page = [
    '# Error codes',
    '',
    '<!-- Written by `npm run docs:errors` from src/core/errors.ts; a test holds it to that. -->',
    '',
    'Every error that leaves the engine, in a reply, a thrown `EngineError` or an exit, has one of these codes, and a message',
    'that names what is wrong. Codes never change their meaning. *Retry*: the same request may succeed later; repeat it with',
    'the same ids, and not before `retryAfterMs` when the error has one.',
    '',
    '| Code | Meaning | Retry |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
  return format(page, { ...(await resolveConfig(errorsPageFile)), parser: 'markdown' });
}
