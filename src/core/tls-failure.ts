/** Codes of Node's TLS errors; those of a certificate that does not verify come from OpenSSL. */
const tlsCode =
  /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO$|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH$|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH_EXCEEDED$|ERROR_IN_CERT_)/;
/** Most causes that are followed: nobody wraps an error more often. */
const maximumCauses = 8;

/**
 * What TLS itself says is wrong with a connection, with its code; null when it is not TLS that failed.
 *
 * A handshake that failed fails again until a person changes a file: no try after it helps, and the clear is no way out.
 */
export function tlsFailureOf(thrown: unknown): string | null {
  let error: unknown = thrown;
  for (let depth = 0; depth < maximumCauses && error instanceof Error; depth += 1) {
    const { code } = error as { readonly code?: unknown };
    if (typeof code === 'string' && tlsCode.test(code)) return `${code}: ${firstLine(error.message)}`;
    error = error.cause;
  }
  return null;
}

/** OpenSSL's own text goes on with file and line of its source. */
function firstLine(message: string): string {
  return message.split('\n', 1)[0]?.trim() ?? '';
}
