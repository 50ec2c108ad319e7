import { describe, expect, it } from 'vitest';

import { PinoLogger, type PinoLoggerOptions } from '../../../src/platform/pino-logger.ts';
import { isSecretName, redacted, redactSecrets } from '../../../src/platform/redaction.ts';

const canary = 'canary-5f1c';

function capture(options: PinoLoggerOptions = {}): { logger: PinoLogger; text: () => string } {
  const written: string[] = [];
  const destination = { write: (line: string) => void written.push(line) };
  return { logger: new PinoLogger({ format: 'json', destination, ...options }), text: () => written.join('') };
}

describe('PinoLogger', () => {
  it('never writes a secret: not deep, not in a list, not in a child, not in an error or its fields', () => {
    const { logger, text } = capture({ fields: { token: canary } });
    logger.info({ password: canary, deep: { a: { b: { c: { d: { 'set-cookie': canary } } } } } }, 'deep');
    logger.info({ list: [{ headers: { Authorization: canary, COOKIE: canary } }] }, 'list');
    logger.child({ credentials: canary, natsToken: canary }).info({ apiKey: canary }, 'child');
    logger.error({ err: Object.assign(new Error('failed'), { request: { secret: canary } }) }, 'error');
    expect(text()).not.toContain(canary);
    expect(text().split(redacted).length - 1).toBeGreaterThanOrEqual(9);
  });

  it('writes no password that stands in a URL, also not in the message, the stack or the cause of an error', () => {
    const { logger, text } = capture({ fields: { proxy: `http://${canary}@proxy.example` } });
    const url = `nats://app:${canary}%40@${canary}@10.0.0.5:4222/x?y=1`;
    logger.info({ url, list: [`first ${url}, then https://u:${canary}@b.example/`] }, 'connected');
    const cause = new Error(`cannot reach ${url}`);
    logger.error({ err: Object.assign(new Error(`GET ${url} failed`, { cause }), { request: { url } }) }, 'failed');
    expect(text()).not.toContain(canary);
    expect(text()).toContain(`nats://${redacted}@10.0.0.5:4222/x?y=1`);
  });

  it('writes an error with its type, stack and cause', () => {
    const { logger, text } = capture();
    logger.error({ err: new TypeError('outer', { cause: new Error('inner') }) }, 'failed');
    const { err } = JSON.parse(text()) as { err: { type: string; message: string; stack: string } };
    expect(err.type).toBe('TypeError');
    expect(err.message).toBe('outer: inner');
    expect(err.stack).toContain('pino-logger.test.ts');
  });

  it('writes lines with fields outside of any span, and no line has those of another', () => {
    const { logger, text } = capture({ fields: { node: 'n-1' } });
    logger.info({ shard: 3, epoch: 7 }, 'first');
    logger.child({ task: 't-1' }).warn({ stage: 'parse' }, 'second');
    logger.info({}, 'third');
    const [first, second, third] = text()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(first).toMatchObject({ node: 'n-1', shard: 3, epoch: 7, msg: 'first' });
    expect(second).toMatchObject({ node: 'n-1', task: 't-1', stage: 'parse', msg: 'second' });
    for (const line of [second, third]) expect(line).not.toHaveProperty('shard');
    expect(third).not.toHaveProperty('task');
    for (const line of [first, second, third]) expect(line).not.toHaveProperty('traceId');
  });

  it('writes one line a call whatever is in it, so that no line can be forged', () => {
    const { logger, text } = capture();
    logger.info({ task: 'x"}\n{"level":50,"msg":"forged"}' }, 'one\ntwo');
    expect(text().trimEnd().split('\n')).toHaveLength(1);
  });

  it('leaves out what is below the level, and follows a change of it in children too', () => {
    const { logger, text } = capture({ level: 'warn' });
    const child = logger.child({ shard: 1 });
    child.info({}, 'too low');
    logger.setLevel('debug');
    child.debug({}, 'now written');
    expect(text()).not.toContain('too low');
    expect(text()).toContain('now written');
  });

  it('writes lines for people when asked to', () => {
    const { logger, text } = capture({ format: 'pretty' });
    logger.info({ shard: 3 }, 'shard taken');
    expect(text()).toMatch(/INFO.*shard taken/);
    expect(() => JSON.parse(text().split('\n')[0] ?? '') as unknown).toThrow(SyntaxError);
  });
});

describe('redaction', () => {
  it('gives a value without secrets back as it is', () => {
    const value = { a: [1, { b: 'c' }], at: new Date(0) };
    expect(redactSecrets(value)).toBe(value);
  });

  it.each(['authorization', 'Set-Cookie', 'accessToken', 'API_KEY', 'clientSecret', 'passwd', 'nats-credentials'])(
    'takes %s for a secret',
    (name) => expect(isSecretName(name)).toBe(true),
  );

  it.each(['tokens', 'secretary', 'cookieCount', 'taskId', 'idempotencyKey'])('does not take %s for a secret', (name) =>
    expect(isSecretName(name)).toBe(false),
  );

  it.each([
    'https://example.org/a@b',
    'https://example.org?mail=a@b.example',
    'a@b.example',
    'see https://a.example or c@d',
  ])('leaves a text without credentials as it is: %s', (text) => expect(redactSecrets({ text })).toEqual({ text }));

  it('cuts what is nested without end, also a value that holds itself', () => {
    const cyclic: Record<string, unknown> = { token: canary };
    cyclic['self'] = cyclic;
    expect(JSON.stringify(redactSecrets(cyclic))).toContain('[too deep]');
    expect(JSON.stringify(redactSecrets(cyclic))).not.toContain(canary);
  });
});
