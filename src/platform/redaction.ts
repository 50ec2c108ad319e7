/** What stands in a log line in the place of a secret. */
export const redacted = '[redacted]';

/** Deepest level that is looked through; what lies deeper is left out, so that nothing slips by. */
const deepestLevel = 12;

const secretEndings = [
  'authorization',
  'cookie',
  'token',
  'password',
  'passwd',
  'passphrase',
  'secret',
  'credentials',
  'apikey',
  'privatekey',
];

/**
 * `value` with everything replaced that stands under a secret's name, at any depth: authorization, cookie, set-cookie,
 * token, password, secret, credentials and their like, in any case and also as an ending (`accessToken`, `API_KEY`); and with the user
 * and password taken out of every URL in a text.
 *
 * The value itself is never changed; without a secret it is given back as it is. Class instances other than plain
 * objects, arrays and maps of the JSON kind are left to whoever writes them.
 */
export function redactSecrets(value: unknown): unknown {
  return redactLevel(value, 0);
}

/** Whether a field of this name holds a secret. */
export function isSecretName(name: string): boolean {
  const plain = name.replaceAll(/[-_]/g, '').toLowerCase();
  return secretEndings.some((ending) => plain.endsWith(ending));
}

/** What stands between `://` and the last `@` before the end of the authority: a password may hold one that is not encoded. */
const urlCredentials = /(:\/\/)[^\s/?#"'<>]*@/g;

function redactText(text: string): string {
  return text.includes('://') && text.includes('@') ? text.replace(urlCredentials, `$1${redacted}@`) : text;
}

function redactLevel(value: unknown, level: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (level > deepestLevel) return '[too deep]';
  if (Array.isArray(value)) {
    const elements = value.map((element: unknown) => redactLevel(element, level + 1));
    return elements.some((element, index) => element !== value[index]) ? elements : value;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  let copy: Record<string, unknown> | undefined;
  for (const [name, field] of Object.entries(value)) {
    const shown = isSecretName(name) && field !== undefined ? redacted : redactLevel(field, level + 1);
    if (shown === field) continue;
    copy ??= { ...value };
    copy[name] = shown;
  }
  return copy ?? value;
}
