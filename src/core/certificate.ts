import { X509Certificate } from 'node:crypto';

/** Whether the text holds a certificate as PEM, the first of several. */
export function isCertificate(pem: string | Uint8Array): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
