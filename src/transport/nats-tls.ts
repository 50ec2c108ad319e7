import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { isCertificate } from '../core/certificate.ts';
import { asError, EngineError } from '../core/errors.ts';

/** TLS to the NATS servers. Files are named by path, as PEM. */
export interface NatsTls {
  /** The authority that the servers' certificates are from; those that Node knows when left out. */
  readonly caFile?: string | undefined;
  /** The client's own certificate, for servers that ask for one. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** Whether the handshake comes before the server's first word, as its `handshake_first` has it. */
  readonly handshakeFirst?: boolean | undefined;
}

/**
 * Refuses files that no handshake can use, before one is tried: the client library would try them again and again.
 *
 * @throws EngineError `CONFIG_INVALID`
 */
export function checkTlsFiles({ caFile, certFile, keyFile }: NatsTls): void {
  if (caFile !== undefined && !isCertificate(readPem('tls.caFile', caFile))) {
    throw invalid('tls.caFile', caFile, 'holds no certificate');
  }
  if (certFile === undefined && keyFile === undefined) return;
  if (certFile === undefined || keyFile === undefined) {
    throw new EngineError('CONFIG_INVALID', 'the certificate and the key of a client belong together', {
      field: certFile === undefined ? 'tls.certFile' : 'tls.keyFile',
      hint: 'give both files of nats.tls, or none',
    });
  }
  const certificate = readPem('tls.certFile', certFile);
  if (!isCertificate(certificate)) throw invalid('tls.certFile', certFile, 'holds no certificate');
  const key = readPem('tls.keyFile', keyFile);
  const problem = keyProblem(new X509Certificate(certificate), key);
  if (problem !== null) throw invalid('tls.keyFile', keyFile, problem);
}

/** A server of the library's list, as far as it matters here. */
export interface DialedServer {
  readonly hostname: string;
  /** The name that its certificate must have; empty where it is known by its address alone. */
  readonly tlsName: string;
}

/**
 * Whether a certificate is that of the server that is dialed. Node takes a server without a name for `localhost`, so that an address
 * would be refused with its own certificate, and believed with one for that name.
 *
 * @param dialed - the server that is dialed at this moment
 */
export function identityChecker(
  dialed: () => DialedServer | null,
): (name: string, certificate: PeerCertificate) => Error | undefined {
  return (name, certificate) => {
    const { hostname = '', tlsName = '' } = dialed() ?? {};
    const address = hostname.replace(/^\[(.*)\]$/, '$1');
    return checkServerIdentity(tlsName === '' && isIP(address) !== 0 ? address : name, certificate);
  };
}

function keyProblem(certificate: X509Certificate, key: Buffer): string | null {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key)) ? null : 'is the key of another certificate';
  } catch {
    // Not told: it may say something of the key.
    return 'holds no private key that can be used';
  }
}

function readPem(field: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw invalid(field, file, `cannot be read: ${asError(error).message}`);
  }
}

function invalid(field: string, file: string, problem: string): EngineError {
  return new EngineError('CONFIG_INVALID', `the file of nats.${field} ${problem}`, {
    field,
    got: file,
    limit: 'a PEM file',
  });
}
