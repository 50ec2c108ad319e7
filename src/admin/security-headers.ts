/**
 * Headers of every answer, also of refusals.
 *
 * @see OWASP ASVS 5.0, 3.4 "Browser Security Mechanism Headers"
 */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "object-src 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  'cache-control': 'no-store',
};

/** Headers of an answer; with TLS the browser is told to ask for nothing else. */
export function headersOf(isTls: boolean): Readonly<Record<string, string>> {
  return isTls ? { ...securityHeaders, 'strict-transport-security': 'max-age=31536000' } : securityHeaders;
}
