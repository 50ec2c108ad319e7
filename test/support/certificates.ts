import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const openssl = (args: readonly string[]): Promise<unknown> => promisify(execFile)('openssl', args);

/** A key and its certificate, as PEM files. */
export interface CertificateFiles {
  readonly keyFile: string;
  readonly certFile: string;
}

/** What stands in a certificate. */
export interface CertificateContents {
  /** Names that it is for, such as `DNS:localhost` and `IP:127.0.0.1`. */
  readonly names: readonly string[];
  /** Days from now that it is good; 0: it is over at once. 2 when left out. */
  readonly days?: number;
}

/** An authority of a test's own, with the certificates that it makes, in a folder of temporary files. */
export class CertificateAuthority {
  readonly folder: string;
  /** Its own certificate. */
  readonly caFile: string;
  readonly #keyFile: string;
  #count = 0;

  private constructor(folder: string) {
    this.folder = folder;
    this.caFile = join(folder, 'ca.pem');
    this.#keyFile = join(folder, 'ca.key');
  }

  static async create(name = 'test authority'): Promise<CertificateAuthority> {
    const authority = new CertificateAuthority(await mkdtemp(join(tmpdir(), 'cabinet-ca-')));
    const subject = ['-subj', `/CN=${name}`, '-days', '2', '-nodes'];
    const files = ['-keyout', authority.#keyFile, '-out', authority.caFile];
    await openssl(['req', '-x509', ...keyKind, ...subject, ...files]);
    return authority;
  }

  /** A certificate for servers and clients, signed by it. */
  async issue({ names, days = 2 }: CertificateContents): Promise<CertificateFiles> {
    this.#count += 1;
    const [keyFile, certFile, request, extensions] = ['key', 'pem', 'csr', 'ext'].map((ending) =>
      join(this.folder, `issued-${this.#count}.${ending}`),
    ) as [string, string, string, string];
    await openssl(['req', ...keyKind, '-subj', '/CN=issued', '-nodes', '-keyout', keyFile, '-out', request]);
    await writeFile(extensions, `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    const by = ['-CA', this.caFile, '-CAkey', this.#keyFile, '-CAcreateserial'];
    await openssl([
      'x509',
      '-req',
      '-in',
      request,
      ...by,
      '-days',
      String(days),
      '-extfile',
      extensions,
      '-out',
      certFile,
    ]);
    return { keyFile, certFile };
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

// Quick to make, as an RSA key is not.
const keyKind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
