import { EngineError } from '../core/errors.ts';

/** Where the console listens when nothing else is said. */
export const adminDefaults = { host: '127.0.0.1', port: 4_280 } as const;

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Refuses to listen in the clear where others can listen too. @throws EngineError `CONFIG_INVALID` */
export function checkAddress(host: string, hasTls: boolean): void {
  if (isLoopback(host) || hasTls) return;
  throw new EngineError('CONFIG_INVALID', `the console listens on ${host} only with TLS`, {
    field: 'adminHost',
    limit: 'a loopback address, or a key and a certificate',
    got: host,
    hint: 'give both files, or leave it on 127.0.0.1 and forward the port',
  });
}
