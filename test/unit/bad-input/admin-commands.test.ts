import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import {
  createServer as createSocketServer,
  type AddressInfo,
  type Server as SocketServer,
  type Socket,
} from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findConsole, recordConsole } from '../../../src/platform/console-place.ts';
import { CertificateAuthority } from '../../support/certificates.ts';
import { runInProcess, type InProcessRun } from '../cli/cli-context.ts';
import { anyText } from './awkward-values.ts';

const token = `cbt_${'0'.repeat(16)}_${'a'.repeat(43)}`;
/** Nobody listens there. */
const nowhere = 'http://127.0.0.1:1';
let folder: string;
let authority: CertificateAuthority;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cabinet-admin-input-'));
  authority = await CertificateAuthority.create();
});

afterAll(async () => {
  await authority.remove();
  await rm(folder, { recursive: true, force: true });
});

function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<InProcessRun> {
  return runInProcess([...args, '--no-config', '--timeout', '5s'], {
    folder,
    environment: { CABINET_ADMIN_TOKEN: token, CABINET_ADMIN_URL: nowhere, ...environment },
  });
}

/** The code and the first line of stderr, of which nothing is a secret or a bug. */
function told({ code, stderr, stdout }: InProcessRun): readonly [number, string] {
  expect(stderr + stdout).not.toContain(token);
  expect(stderr).not.toContain('error INTERNAL');
  return [code, stderr.trimEnd()];
}

describe('the address of the admin API', () => {
  it.each([
    ['nothing', ' '],
    ['a word', 'console'],
    ['a host without a scheme', 'localhost:4280'],
    ['another scheme', 'ftp://127.0.0.1:4280'],
    ['a file', 'file:///etc/passwd'],
    ['a user and a password', 'http://me:hunter2@127.0.0.1:4280'],
    ['a token in its query', 'http://127.0.0.1:4280/?token=hunter2'],
    ['a fragment', 'http://127.0.0.1:4280/#hunter2'],
    ['plain HTTP over a network', 'http://console.example:4280'],
    ['plain HTTP to what only looks like loopback', 'http://127.0.0.1.example:4280'],
    ['a port that is none', 'http://127.0.0.1:99999'],
    ['a line feed in the host', 'http://127.0.\u000a.0.1:4280/\u0000x?'],
  ])('CONFIG_INVALID: %s is refused with exit code 2 and without an echo', async (_name, url) => {
    const [code, line] = told(await run(['token', 'list', '--admin-url', url]));
    expect([code, line]).toEqual([
      2,
      expect.stringMatching(/^error CONFIG_INVALID: the address of the admin API .*https:\/\/host/) as string,
    ]);
    expect(line).not.toContain('hunter2');
  });

  it.each([
    'http://localhost:1',
    'http://[::1]:1',
    'http://127.9.9.9:1/',
    'https://127.0.0.1:1',
    'http://127.0.0.1:1/behind/a/proxy',
  ])('ADMIN_UNREACHABLE: %s is one, and nobody is there: exit code 6', async (url) => {
    expect(told(await run(['bulk', 'list', '--admin-url', url]))).toEqual([
      6,
      expect.stringMatching(
        /^error ADMIN_UNREACHABLE: no admin API answers at \S+: .*ECONNREFUSED.*cabinet dev/,
      ) as string,
    ]);
  });

  it('ADMIN_UNREACHABLE: a name that nobody has is told as it is', async () => {
    const [code, line] = told(await run(['bulk', 'list', '--admin-url', 'https://gone.invalid']));
    expect([code, line]).toEqual([6, expect.stringMatching(/^error ADMIN_UNREACHABLE: .*gone\.invalid/) as string]);
  });
});

describe('the console of a data folder', () => {
  const list = ['bulk', 'list', '--data-dir', 'data'];
  const none = [
    6,
    expect.stringMatching(
      /^error ADMIN_UNREACHABLE: no console serves \S+\/data, and no address of one is named/,
    ) as string,
  ];
  const file = (): string => join(folder, 'data', 'admin', 'console.state.json');

  beforeAll(() => mkdir(join(folder, 'data', 'admin'), { recursive: true }));

  it('ADMIN_UNREACHABLE: where none serves, that is said, with how to name one', async () => {
    expect(told(await run(list, { CABINET_ADMIN_URL: '' }))).toEqual(none);
  });

  it('is found while its process lives, and forgotten when it has stopped', async () => {
    const forget = await recordConsole(join(folder, 'data', 'admin'), nowhere);
    expect(told(await run(list, { CABINET_ADMIN_URL: '' }))).toEqual([
      6,
      expect.stringContaining(`no admin API answers at ${nowhere}`) as string,
    ]);
    await forget();
    expect(told(await run(list, { CABINET_ADMIN_URL: '' }))).toEqual(none);
  });

  it.each<[string, (place: Readonly<Record<string, unknown>>) => unknown]>([
    ['of a process that is gone', (place) => ({ ...place, startMark: 'another start' })],
    ['of another machine', (place) => ({ ...place, host: `not-${hostname()}` })],
    ['of another format', (place) => ({ ...place, format: 2 })],
    ['that is no address', (place) => ({ ...place, url: 7 })],
    ['that is null', () => null],
    ['that is a list', () => []],
  ])('is not looked for at an address %s, which may be a stranger by now', async (_name, change) => {
    await recordConsole(join(folder, 'data', 'admin'), nowhere);
    expect(await findConsole(join(folder, 'data', 'admin'))).toBe(nowhere);
    const place = JSON.parse(await readFile(file(), 'utf8')) as Readonly<Record<string, unknown>>;
    await writeFile(file(), JSON.stringify(change(place)));
    expect(told(await run(list, { CABINET_ADMIN_URL: '' }))).toEqual(none);
    await writeFile(file(), '{"torn');
    expect(await findConsole(join(folder, 'data', 'admin'))).toBeUndefined();
  });
});

describe('the token of the admin API', () => {
  it.each<[string, string | undefined, string, number, RegExp]>([
    ['UNAUTHENTICATED', undefined, 'none at all', 6, /no token of the admin API is given .*CABINET_ADMIN_TOKEN/],
    ['UNAUTHENTICATED', '  ', 'blanks', 6, /no token of the admin API is given/],
    ['CONFIG_INVALID', 'hunter 2', 'two words', 2, /CABINET_ADMIN_TOKEN holds no token/],
    ['CONFIG_INVALID', 'hunter2\r\nX-Evil: 1', 'a header behind it', 2, /CABINET_ADMIN_TOKEN holds no token/],
    ['CONFIG_INVALID', 'hunter2\u0000', 'a NUL', 2, /CABINET_ADMIN_TOKEN holds no token/],
    ['CONFIG_INVALID', 'hünter2', 'a letter beyond ASCII', 2, /CABINET_ADMIN_TOKEN holds no token/],
    ['CONFIG_INVALID', 'hunter2'.repeat(40), '280 characters', 2, /CABINET_ADMIN_TOKEN holds no token/],
  ])(
    '%s: %j (%s) is refused with exit code %i before anything is sent, and without an echo',
    async (code, text, _name, exit, says) => {
      const { CABINET_ADMIN_TOKEN: _none, ...without } = { CABINET_ADMIN_TOKEN: '', CABINET_ADMIN_URL: nowhere };
      const got = await runInProcess(['token', 'list', '--no-config'], {
        folder,
        environment: text === undefined ? without : { ...without, CABINET_ADMIN_TOKEN: text },
      });
      expect(told(got)).toEqual([exit, expect.stringMatching(new RegExp(`^error ${code}: ${says.source}`)) as string]);
      expect(got.stderr).not.toContain('nter2');
    },
  );

  it.each<[string, string | Uint8Array | null, RegExp]>([
    ['is not there', null, /the file of admin\.tokenFile cannot be read: ENOENT/],
    ['is empty', '', /the file of admin\.tokenFile holds no token/],
    ['is a key', '-----BEGIN PRIVATE KEY-----\nhunter2\n', /the file of admin\.tokenFile holds no token/],
    ['is no text', Uint8Array.of(0xff, 0, 1), /the file of admin\.tokenFile holds no token/],
  ])('CONFIG_INVALID: a file that %s is refused with exit code 2', async (_name, content, says) => {
    const file = join(folder, 'a.token');
    await rm(file, { force: true });
    if (content !== null) await writeFile(file, content);
    const got = told(await run(['token', 'list', '--admin-token-file', 'a.token']));
    expect(got).toEqual([2, expect.stringMatching(says) as string]);
    expect(got[1]).not.toContain('hunter2');
  });
});

describe('what answers in place of an admin API', () => {
  const servers: (Server | SocketServer)[] = [];
  const sockets = new Set<Socket>();

  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => void server.close(resolve))));
  });

  async function listen(server: Server | SocketServer): Promise<number> {
    servers.push(server);
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  const json = (status: number, text: string): RequestListener => {
    return (_request, response) => void response.writeHead(status, { 'content-type': 'application/json' }).end(text);
  };

  it.each<[string, RequestListener, RegExp]>([
    ['a page', (_request, response) => void response.end('<html>welcome'), /status 200 with no content type/],
    [
      'a page that is not found',
      (_request, response) => void response.writeHead(404, { 'content-type': 'text/html' }).end('no'),
      /status 404 with text\/html/,
    ],
    ['nothing', json(200, ''), /invalid JSON at byte 0/],
    ['half of a document', json(200, '{"runs":['), /invalid JSON at byte 9/],
    ['one key twice', json(200, '{"runs":[],"runs":[]}'), /duplicate key 'runs'/],
    ['JSON of another kind', json(200, '{"ok":true}'), /an answer to \/api\/bulk whose value\.runs must be a list/],
    ['a run that is none', json(200, '{"runs":[{"bulkId":7}]}'), /whose value\.runs\[0\]\.bulkId must be a text/],
    ['null', json(200, 'null'), /whose value must be an object/],
    ['an error that is none', json(500, '{}'), /: status 500/],
    ['a text for an error', json(502, '"bad gateway"'), /: status 502/],
    [
      'characters that a terminal obeys',
      (_request, response) =>
        void response.writeHead(200, { 'content-type': 'x/\u001b[2J'.replace('\u001b', '\u009b') }).end(),
      /status 200 with x\//,
    ],
  ])('ADMIN_UNREACHABLE: %s is no admin API, exit code 6', async (_name, listener, says) => {
    const port = await listen(createServer(listener));
    const [code, line] = told(await run(['bulk', 'list', '--admin-url', `http://127.0.0.1:${port}`]));
    expect([code, line]).toEqual([
      6,
      expect.stringMatching(
        /^error ADMIN_UNREACHABLE: what answers at http:\S+ is no admin API that is known: /,
      ) as string,
    ]);
    expect(line).toMatch(says);
    // eslint-disable-next-line no-control-regex -- they are what must not be there
    expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });

  it('a redirect is not followed: the token goes nowhere else', async () => {
    const seen: (string | undefined)[] = [];
    const other = await listen(
      createServer((request, response) => {
        seen.push(request.headers.authorization);
        response.end('{}');
      }),
    );
    const port = await listen(
      createServer(
        (_request, response) =>
          void response.writeHead(307, { location: `http://127.0.0.1:${other}/`, 'content-type': 'text/html' }).end(),
      ),
    );
    expect(told(await run(['bulk', 'list', '--admin-url', `http://127.0.0.1:${port}`]))).toEqual([
      6,
      expect.stringContaining('status 307') as string,
    ]);
    expect(seen).toEqual([]);
  });

  it.each<[string, (socket: Socket) => void]>([
    ['hangs up', (socket) => socket.destroy()],
    ['speaks another protocol', (socket) => socket.end('INFO {"server_id":"N"}\r\n')],
    [
      'breaks off within its answer',
      (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"runs'),
    ],
    ['announces an answer of no length', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n')],
  ])('ADMIN_UNREACHABLE: one that %s, exit code 6', async (_name, act) => {
    const port = await listen(createSocketServer((socket) => socket.once('data', () => act(socket))));
    expect(told(await run(['bulk', 'list', '--admin-url', `http://127.0.0.1:${port}`]))).toEqual([
      6,
      expect.stringMatching(/^error ADMIN_UNREACHABLE: no admin API answers at /) as string,
    ]);
  });

  it.each<[string, (socket: Socket) => void]>([
    ['says nothing', () => undefined],
    [
      'never ends its answer',
      (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"runs":'),
    ],
  ])('DEADLINE_EXCEEDED: one that %s is given up at the --timeout, exit code 5', async (_name, act) => {
    const port = await listen(createSocketServer((socket) => socket.once('data', () => act(socket))));
    const got = await runInProcess(
      ['bulk', 'list', '--no-config', '--timeout', '150ms', '--admin-url', `http://127.0.0.1:${port}`],
      {
        folder,
        environment: { CABINET_ADMIN_TOKEN: token },
      },
    );
    expect(told(got)).toEqual([
      5,
      'error DEADLINE_EXCEEDED: the answer of the admin API took longer than 150 ms (hint: allow more with --timeout)',
    ]);
  });

  it('ADMIN_UNREACHABLE: an answer without end is cut at its bound', async () => {
    const chunk = ' '.repeat(1024 * 1024);
    const port = await listen(
      createServer((_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const more = (): void => {
          while (!response.destroyed && response.write(chunk));
        };
        response.on('drain', more);
        more();
      }),
    );
    expect(told(await run(['bulk', 'list', '--admin-url', `http://127.0.0.1:${port}`]))).toEqual([
      6,
      'error ADMIN_UNREACHABLE: the answer of the admin API is too large',
    ]);
  });

  it.each<[string, string, string, number]>([
    [
      'a code of the catalog',
      '{"error":{"code":"RATE_LIMITED","message":"slowly","retryAfterMs":5}}',
      'error RATE_LIMITED: slowly',
      1,
    ],
    [
      'a code of a later version',
      '{"error":{"code":"TOO_NEW","message":"later"}}',
      'error INTERNAL: TOO_NEW: later',
      1,
    ],
    ['no code', '{"error":"no"}', 'error INTERNAL: undefined: an error without a message', 1],
  ])('an error with %s is told', async (_name, text, says, exit) => {
    const port = await listen(createServer(json(429, text)));
    const { code, stderr } = await run(['bulk', 'list', '--admin-url', `http://127.0.0.1:${port}`]);
    expect([code, stderr.trimEnd()]).toEqual([exit, expect.stringContaining(says) as string]);
  });

  describe('over TLS', () => {
    const good = json(200, '{"runs":[]}');

    async function listenTls(names: readonly string[], days = 2): Promise<number> {
      const { keyFile, certFile } = await authority.issue({ names, days });
      const [key, cert] = [await readFile(keyFile), await readFile(certFile)];
      return listen(createTlsServer({ key, cert }, good));
    }

    const list = (port: number, ...more: readonly string[]): Promise<InProcessRun> =>
      run(['bulk', 'list', '--json', '--admin-url', `https://127.0.0.1:${port}`, ...more]);

    it('a certificate of the named authority is trusted', async () => {
      const port = await listenTls(['IP:127.0.0.1']);
      const got = await list(port, '--admin-ca', authority.caFile);
      expect([got.code, got.stderr, got.stdout]).toEqual([0, '', `${JSON.stringify({ runs: [] }, null, 2)}\n`]);
    });

    it.each<[string, readonly string[], number, boolean, RegExp]>([
      [
        'of an authority that nobody named',
        ['IP:127.0.0.1'],
        2,
        false,
        /UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY/,
      ],
      ['of another name', ['DNS:console.example'], 2, true, /ERR_TLS_CERT_ALTNAME_INVALID: .*127\.0\.0\.1/],
      ['that has expired', ['IP:127.0.0.1'], 0, true, /CERT_HAS_EXPIRED/],
    ])('TLS_ERROR: one %s is not trusted, exit code 6', async (_name, names, days, isNamed, says) => {
      const port = await listenTls(names, days);
      const [code, line] = told(await list(port, ...(isNamed ? ['--admin-ca', authority.caFile] : [])));
      expect([code, line]).toEqual([
        6,
        expect.stringMatching(/^error TLS_ERROR: the admin API at https:\S+ cannot be trusted: /) as string,
      ]);
      expect(line).toMatch(says);
      expect(line).toContain('--admin-ca');
    });

    it('TLS_ERROR: a server that speaks none, exit code 6', async () => {
      const port = await listen(createServer(good));
      expect(told(await list(port))).toEqual([
        6,
        expect.stringMatching(/^error TLS_ERROR: .*(?:EPROTO|ERR_SSL)/) as string,
      ]);
    });

    it('ADMIN_UNREACHABLE: a server that speaks TLS alone, asked without it, exit code 6', async () => {
      const port = await listenTls(['IP:127.0.0.1']);
      expect(told(await run(['bulk', 'list', '--admin-url', `http://127.0.0.1:${port}`]))).toEqual([
        6,
        expect.stringMatching(/^error ADMIN_UNREACHABLE: no admin API answers at http:.*http or https/) as string,
      ]);
    });

    it.each([
      ['is not there', null, /CONFIG_INVALID: the file of admin\.caFile cannot be read: ENOENT/],
      ['holds no certificate', 'hello', /CONFIG_INVALID: the file of admin\.caFile holds no certificate/],
    ])('CONFIG_INVALID: an authority whose file %s, exit code 2', async (_name, text, says) => {
      const file = join(folder, 'bad-ca.pem');
      await rm(file, { force: true });
      if (text !== null) await writeFile(file, text);
      expect(told(await list(1, '--admin-ca', 'bad-ca.pem'))).toEqual([2, expect.stringMatching(says) as string]);
    });
  });
});

describe('the arguments of cabinet token and cabinet bulk', () => {
  it.each<[string, readonly string[]]>([
    ['a token without a name', ['token', 'create', '--role', 'viewer']],
    ['a token without a role', ['token', 'create', 'anna']],
    ['a role that is none', ['token', 'create', 'anna', '--role', 'root']],
    ['a role in capitals', ['token', 'create', 'anna', '--role', 'Viewer']],
    ['a life that is none', ['token', 'create', 'anna', '--role', 'viewer', '--expires', 'soon']],
    ['a life of a second', ['token', 'create', 'anna', '--role', 'viewer', '--expires', '1s']],
    ['a life of eleven years', ['token', 'create', 'anna', '--role', 'viewer', '--expires', '4015d']],
    ['a life before now', ['token', 'create', 'anna', '--role', 'viewer', '--expires', '-1d']],
    ['a reason of blanks', ['token', 'revoke', 'anna', '--reason', '  ']],
    ['a reason of 2,001 characters', ['token', 'revoke', 'anna', '--reason', 'x'.repeat(2_001)]],
    ['a reason with half a character', ['token', 'revoke', 'anna', '--reason', 'a\ud800']],
    ['no token to revoke', ['token', 'revoke']],
    ['two tokens to revoke', ['token', 'revoke', 'a', 'b']],
    ['no action', ['bulk', 'start']],
    ['an action that is none', ['bulk', 'start', 'resolve', '--all']],
    ['no filter and no --all', ['bulk', 'start', 'cancel']],
    ['a filter and --all', ['bulk', 'start', 'cancel', '--all', '--stage', 's']],
    ['a dry run that waits', ['bulk', 'start', 'cancel', '--all', '--dry-run', '--wait']],
    ['a status that is none', ['bulk', 'start', 'cancel', '--status', 'failed']],
    ['a pipeline that is a pattern', ['bulk', 'start', 'cancel', '--pipeline', 'card*']],
    ['an id with a dot', ['bulk', 'start', 'cancel', '--id-prefix', 'a.']],
    ['an id prefix that is a regex', ['bulk', 'start', 'cancel', '--id-prefix', '(a+)+$']],
    ['a fingerprint in capitals', ['bulk', 'start', 'cancel', '--fingerprint', 'AB']],
    ['a class that is none', ['bulk', 'start', 'cancel', '--class', 'toString']],
    ['a shard that is none', ['bulk', 'start', 'cancel', '--shard', '4096']],
    ['version 0', ['bulk', 'start', 'cancel', '--pipeline-version', '0']],
    ['an instant without its zone', ['bulk', 'start', 'cancel', '--submitted-before', '2026-01-02T03:04:05']],
    ['an instant that is none', ['bulk', 'start', 'cancel', '--submitted-before', '2026-13-02T03:04:05Z']],
    ['a day that is none', ['bulk', 'start', 'cancel', '--submitted-before', '2026-02-30T03:04:05Z']],
    ['a day alone', ['bulk', 'start', 'cancel', '--updated-since', '2026-01-02']],
    ['yesterday', ['bulk', 'start', 'cancel', '--updated-since', 'yesterday']],
    ['a rate of 0', ['bulk', 'start', 'cancel', '--all', '--rate', '0']],
    ['a rate of 1,001', ['bulk', 'start', 'cancel', '--all', '--rate', '1001']],
    ['a first batch of none', ['bulk', 'start', 'cancel', '--all', '--first-batch', '0']],
    ['a watch over an hour', ['bulk', 'start', 'cancel', '--all', '--watch-first', '61m']],
    ['a share over all', ['bulk', 'start', 'cancel', '--all', '--stop-at', '100.1']],
    ['a share with an exponent', ['bulk', 'start', 'cancel', '--all', '--stop-at', '1e1']],
    ['a share of its own kind', ['bulk', 'start', 'cancel', '--all', '--stop-at', '-0']],
    ['a count over a million', ['bulk', 'start', 'cancel', '--all', '--confirm-count', '1000001']],
    ['a name of a path', ['bulk', 'show', '../tokens']],
    ['a name with an escape', ['bulk', 'pause', '%2e%2e']],
    ['an empty name', ['bulk', 'abort', '']],
    ['a token in the command line', ['bulk', 'list', '--admin-token', token.slice(0, 3)]],
    ['a watch that is too quick', ['bulk', 'list', '--watch=1ms']],
  ])('INVALID_ARGUMENT: %s is refused with exit code 2 before anything is asked', async (_name, args) => {
    const [code, line] = told(await run(args));
    expect([code, line.split('\n')[0]]).toEqual([
      2,
      expect.stringMatching(/^error INVALID_(?:ARGUMENT|TASK_ID): /) as string,
    ]);
  });

  it('are taken or refused with a code, whatever text one of them is, and never a bug', async () => {
    const commands: readonly (readonly string[])[] = [
      ['token', 'create', 'TEXT', '--role', 'viewer'],
      ['token', 'create', 'anna', '--role', 'TEXT'],
      ['token', 'create', 'anna', '--role', 'viewer', '--expires', 'TEXT'],
      ['token', 'revoke', 'TEXT'],
      ['token', 'list', '--admin-url', 'TEXT'],
      ['bulk', 'start', 'TEXT', '--all'],
      ...['pipeline', 'stage', 'status', 'class', 'id', 'id-prefix', 'fingerprint', 'shard', 'pipeline-version'].map(
        (name) => ['bulk', 'start', 'pause', `--${name}`, 'TEXT'],
      ),
      ...['submitted-since', 'updated-before'].map((name) => ['bulk', 'start', 'pause', `--${name}`, 'TEXT']),
      ...['rate', 'first-batch', 'watch-first', 'stop-at', 'confirm-count', 'bulk-id', 'reason'].map((name) => [
        'bulk',
        'start',
        'pause',
        '--all',
        `--${name}`,
        'TEXT',
      ]),
      ...['show', 'wait', 'pause', 'resume', 'abort'].map((name) => ['bulk', name, 'TEXT', '--timeout', '1ms']),
    ];
    const texts = fc.oneof(
      anyText,
      fc.constantFrom(
        '１',
        '1e2',
        '-0',
        '1.5s',
        '9'.repeat(400),
        '2026-02-30T00:00:00Z',
        '9999-12-31T23:59:60Z',
        '+275760-09-13T00:00:00Z',
        'http://[',
        'http://\u0000',
        'https://%',
        '--all',
        '--',
        '-',
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...commands), texts, async (command, text) => {
        const { code, stderr, stdout } = await run(command.map((word) => (word === 'TEXT' ? text : word)));
        expect(stderr).not.toContain('error INTERNAL');
        expect([2, 5, 6], `${stderr}${stdout}`).toContain(code);
      }),
      { numRuns: 600 },
    );
  });
});
