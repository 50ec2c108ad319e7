import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { resolveConfig } from '../../src/core/config.ts';
import { readEnvironment } from '../../src/platform/environment.ts';
import { inboxPrefixOf, natsRoles } from '../../src/store/nats-roles.ts';
import { formatNatsServerConfigs } from '../../src/store/nats-server-config.ts';

const repository = resolve(import.meta.dirname, '../..');
const read = (path: string): Promise<string> => readFile(join(repository, path), 'utf8');

type Json = Readonly<Record<string, unknown>>;

/** Variables that are not the engine's own settings: those that `readEnvironment` takes beside them, and Node's. */
const otherVariables = new Set([
  'NATS_URL',
  'NATS_CREDS',
  'NATS_NKEY',
  'NATS_INBOX_PREFIX',
  'NATS_SERVER_BIN',
  'NODE_ENV',
  'NODE_OPTIONS',
]);

/** What a stop takes over the grace of its drivers, at the most. */
const stopMarginMs = 10_000;

/** Fails on a variable that means nothing, and on a value that is refused. @returns the engine's settings */
function checkVariables(variables: Readonly<Record<string, string>>): ReturnType<typeof resolveConfig> {
  const settings = readEnvironment(variables);
  const strangers = Object.keys(variables).filter((name) => !name.startsWith('CABINET_') && !otherVariables.has(name));
  expect([...settings.unknownVariables, ...strangers]).toEqual([]);
  return resolveConfig(settings.config);
}

/** An exact version, from wherever the machine has its images from. */
function expectExactImage(image: string): void {
  expect(image).toMatch(/^[a-z][a-z0-9-]*:\d+\.\d+\.\d+(-[a-z0-9-]+)?$/);
}

function secondsOf(duration: unknown): number {
  const found = /^(\d+)s$/.exec(String(duration));
  expect(found, `${String(duration)} is seconds`).not.toBeNull();
  return Number(found?.[1]);
}

describe('the image', () => {
  /** Instructions with what follows them, continued lines joined, comments left out. */
  async function instructions(): Promise<readonly (readonly [name: string, rest: string])[]> {
    const text = (await read('Dockerfile')).replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\s*\\\n\s*/g, ' ');
    return text.split('\n').flatMap((line) => {
      const found = /^([A-Z]+)\s+(.+)$/.exec(line);
      return found === null ? [] : [[found[1] ?? '', found[2] ?? ''] as const];
    });
  }

  async function only(name: string): Promise<string> {
    const found = (await instructions()).filter(([one]) => one === name);
    expect(found.length, name).toBe(1);
    return found[0]?.[1] ?? '';
  }

  it('is built from exact versions, and names no registry', async () => {
    const args = new Map(
      (await instructions()).filter(([name]) => name === 'ARG').map(([, rest]) => rest.split('=') as [string, string]),
    );
    for (const name of ['NODE_IMAGE', 'NATS_IMAGE']) expectExactImage(args.get(name) ?? '');
    const bases = (await instructions()).filter(([name]) => name === 'FROM').map(([, rest]) => rest.split(' ')[0]);
    const stages = (await instructions()).flatMap(([name, rest]) =>
      name === 'FROM' ? rest.split(' AS ').slice(1) : [],
    );
    for (const base of bases)
      expect(['${NODE_IMAGE}', '${NATS_IMAGE}', 'runtime-${VARIANT}', ...stages]).toContain(base);
    expect(stages).toContain(`runtime-${args.get('VARIANT')}`);
    expect(stages).toContain('runtime-embedded');
  });

  it('runs as a number that is not root, ends on SIGTERM, and writes /data alone', async () => {
    expect(await only('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(await only('STOPSIGNAL')).toBe('SIGTERM');
    expect(await only('VOLUME')).toBe('/data');
    // As a list: a shell in between would be process 1 and keep the signals to itself.
    const entry = JSON.parse(await only('ENTRYPOINT')) as readonly string[];
    expect(entry[0]).toBe('node');
    expect(JSON.parse(await only('CMD'))).toEqual(['start']);
    expect(await only('HEALTHCHECK')).toMatch(/CMD \["node", "\/opt\/cabinet\/healthcheck\.mjs"\]$/);
  });

  it('has only variables that the engine knows', async () => {
    const variables = Object.fromEntries(
      (await only('ENV')).split(/\s+/).map((pair) => pair.split('=') as [string, string]),
    );
    checkVariables(variables);
    expect(variables).toMatchObject({ CABINET_DATA_DIR: '/data' });
  });

  it('installs what the lockfile says, and runs no scripts of packages', async () => {
    const runs = (await instructions()).flatMap(([name, rest]) => (name === 'RUN' ? [rest] : [])).join(' && ');
    for (const [command] of runs.matchAll(/npm (?:ci|install|prune)[^&]*/g))
      expect(command).toContain('--ignore-scripts');
    expect(runs).toContain('npm ci');
    expect(runs).not.toContain('npm install');
  });

  it('is given what it is built of, and nothing that is secret or a test', async () => {
    const lines = (await read('.dockerignore')).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines[0]).toBe('*');
    const given = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    for (const path of given) expect([path, existsSync(join(repository, path))]).toEqual([path, true]);
    for (const path of given) expect(path).not.toMatch(/^(?:test|deploy\/tls|chaos|bench|\.git|\.cabinet)/);
    for (const path of ['package-lock.json', 'src', 'console', 'scripts/build.ts', 'deploy/healthcheck.mjs']) {
      expect(given).toContain(path);
    }
  });
});

interface ComposeService extends Json {
  readonly image: string;
  readonly user: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: readonly string[];
  readonly healthcheck?: Json;
  readonly build?: { readonly context: string; readonly args: Readonly<Record<string, string>> };
}

describe('deploy/compose.yaml', () => {
  async function compose(): Promise<{
    readonly services: Readonly<Record<string, ComposeService>>;
    readonly networks: Readonly<Record<string, Json>>;
    readonly volumes: Json;
  }> {
    return parse(await read('deploy/compose.yaml'), { merge: true }) as Awaited<ReturnType<typeof compose>>;
  }

  it('hardens every service: read-only, no capability, no new privilege, bounded, not root', async () => {
    const { services } = await compose();
    expect(Object.keys(services)).toHaveLength(8);
    for (const [name, service] of Object.entries(services)) {
      expect([name, service]).toEqual([
        name,
        expect.objectContaining({
          read_only: true,
          cap_drop: ['ALL'],
          security_opt: ['no-new-privileges:true'],
          pids_limit: expect.any(Number) as number,
          mem_limit: expect.any(String) as string,
        }),
      ]);
      expectExactImage(service.image.replace(/^\$\{NATS_IMAGE:-(.+)\}$/, '$1'));
      if (name !== 'setup') expect([name, service.user]).toEqual([name, '10001:10001']);
    }
    // Root, to give folders away; so it hears and reaches nobody, and ends.
    expect(services['setup']).toMatchObject({
      user: '0:0',
      network_mode: 'none',
      restart: 'no',
      cap_add: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'],
    });
    expect(services['setup']?.networks).toBeUndefined();
  });

  it('has only variables that the engine knows, with values that it takes', async () => {
    const { services } = await compose();
    for (const { environment } of Object.values(services)) {
      if (environment !== undefined) expect(checkVariables(environment).replicas).toBe(3);
    }
  });

  it('waits for nodes longer than they need to drain, and checks the health of all that stays', async () => {
    const { services } = await compose();
    for (const name of ['node-a', 'node-b']) {
      const { drainGraceMs, abortGraceMs } = checkVariables(services[name]?.environment ?? {});
      const graceMs = secondsOf(services[name]?.['stop_grace_period']) * 1_000;
      expect(graceMs).toBeGreaterThanOrEqual(drainGraceMs + abortGraceMs + stopMarginMs);
    }
    for (const [name, { healthcheck, ...service }] of Object.entries(services)) {
      if (service['restart'] === 'no') continue;
      // The nodes' is the image's own.
      if (!name.startsWith('node-')) expect([name, healthcheck?.['test']]).toEqual([name, expect.any(Array)]);
      expect(healthcheck?.['disable']).toBeUndefined();
    }
  });

  it('opens no port but on this host alone, and keeps the bus from everything else', async () => {
    const { services, networks } = await compose();
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports).toEqual(['127.0.0.1:${CONSOLE_PORT:-4280}:4280']);
    expect(networks['bus']).toEqual({ internal: true });
    for (const [name, service] of Object.entries(services)) {
      if (name.startsWith('nats-')) expect(service.networks).toEqual(['bus']);
    }
  });

  it('gives each service the key of its role and of no other, and keeps all keys together from everybody', async () => {
    const { services, volumes } = await compose();
    const script = await read('deploy/setup.sh');
    const mounts = (name: string): ReadonlyMap<string, string> =>
      new Map((services[name]?.volumes ?? []).map((mount) => mount.split(':').slice(0, 2) as [string, string]));
    const roles = {
      'node-a': ['node', 'node-key'],
      'node-b': ['node', 'node-key'],
      console: ['console', 'console-key'],
      cli: ['console', 'operator-key'],
    } as const;
    for (const [name, [role, volume]] of Object.entries(roles)) {
      expect(services[name]?.environment).toMatchObject({
        NATS_NKEY: `/keys/${role}.nk`,
        NATS_INBOX_PREFIX: inboxPrefixOf(role),
      });
      expect([...mounts(name).keys()].filter((mount) => mount.endsWith('-key'))).toEqual([volume]);
      expect(mounts(name).get(volume)).toBe('/keys');
      // In the script the folder is where the setup service has that volume.
      const folder = mounts('setup').get(volume) ?? '';
      expect(script).toMatch(new RegExp(`^give ${folder} /keys/keys/${role}\\.nk(?: |$)`, 'm'));
    }
    const holders = Object.keys(services).filter((name) => mounts(name).has('keys'));
    expect(holders).toEqual(['setup']);
    const used = Object.values(services)
      .flatMap((service) => service.volumes ?? [])
      .map((mount) => mount.split(':')[0]);
    for (const volume of Object.keys(volumes)) expect(used).toContain(volume);
  });

  it('runs servers whose configuration is that of nats-config for their names: three, which sync every write', async () => {
    const { services } = await compose();
    const script = await read('deploy/setup.sh');
    const hosts = /--hosts (\S+)/.exec(script)?.[1]?.split(',') ?? [];
    expect(Object.keys(services).filter((name) => name.startsWith('nats-'))).toEqual(hosts);
    const urls = services['node-a']?.environment?.['NATS_URL']?.split(',');
    expect(urls).toEqual(hosts.map((host) => `nats://${host}:4222`));
    const [first = ''] = serverConfigs(hosts, /--store-dir (\S+)/.exec(script)?.[1] ?? '');
    expect(first).toContain('sync_interval: always');
    expect(first).toContain('store_dir: "/data"');
    expect(first).toContain('listen: "nats-1:4222"');
    for (const [index, host] of hosts.entries()) {
      expect(services[host]?.command).toEqual(['-c', `/server/nats-${index + 1}.conf`]);
      expect(services[host]?.volumes).toEqual([`server-${index + 1}:/server:ro`, `data-${index + 1}:/data`]);
    }
  });

  it('builds the image of this repository, and serves the console over TLS with a host name that stays', async () => {
    const { services } = await compose();
    expect(services['setup']?.build).toMatchObject({ context: '..' });
    expect(services['console']).toMatchObject({ hostname: 'console', command: ['admin'] });
    const settings = readEnvironment(services['console']?.environment ?? {});
    expect(settings).toMatchObject({ adminTlsKeyFile: '/keys/key.pem', adminTlsCertFile: '/keys/cert.pem' });
    expect(String(services['console']?.healthcheck?.['test'])).toContain('https://127.0.0.1:4280/readyz');
  });
});

function serverConfigs(hosts: readonly string[], storeDir: string): readonly string[] {
  const key = `U${'A'.repeat(55)}`;
  const publicKeys = Object.fromEntries(natsRoles.map((role) => [role, key])) as Record<
    (typeof natsRoles)[number],
    string
  >;
  const ports = { client: 4_222, cluster: 6_222, monitor: 8_222 };
  return formatNatsServerConfigs({
    namespace: 'cabinet',
    hosts,
    publicKeys,
    systemKey: key,
    storeDir,
    ports,
    tls: null,
  });
}

interface Manifest extends Json {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: Json;
  readonly data?: Readonly<Record<string, string>>;
}

interface PodSpec extends Json {
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly (Json & {
    readonly image: string;
    readonly args?: readonly string[];
    readonly env?: readonly { readonly name: string; readonly value?: string }[];
    readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  })[];
  readonly volumes: readonly (Json & { readonly name: string; readonly secret?: { readonly secretName: string } })[];
}

describe('deploy/kubernetes', () => {
  const folder = 'deploy/kubernetes';

  async function manifests(): Promise<readonly Manifest[]> {
    const { resources } = parse(await read(`${folder}/kustomization.yaml`)) as {
      readonly resources: readonly string[];
    };
    const texts = await Promise.all(resources.map((file) => read(`${folder}/${file}`)));
    return texts.flatMap((text) => parseAllDocuments(text).map((document) => document.toJS() as Manifest));
  }

  const workloads = async (): Promise<readonly Manifest[]> =>
    (await manifests()).filter(({ kind }) => ['StatefulSet', 'Deployment', 'DaemonSet', 'Job', 'Pod'].includes(kind));

  const podOf = ({ spec }: Manifest): PodSpec => (spec['template'] as { readonly spec: PodSpec }).spec;

  const variablesOf = async (pod: PodSpec): Promise<Readonly<Record<string, string>>> => {
    const maps = new Map((await manifests()).map((one) => [`${one.kind}/${one.metadata.name}`, one.data ?? {}]));
    const [container] = pod.containers;
    const shared = (container?.envFrom ?? []).map(({ configMapRef }) => {
      const found = maps.get(`ConfigMap/${configMapRef.name}`);
      expect([configMapRef.name, found]).toEqual([configMapRef.name, expect.any(Object)]);
      return found;
    });
    const own = (container?.env ?? []).map(({ name, value }) => [name, value ?? 'from-the-pod'] as const);
    return Object.assign({}, ...shared, Object.fromEntries(own)) as Readonly<Record<string, string>>;
  };

  it('has every file in the kustomization, exact images, and no secret', async () => {
    const kustomization = parse(await read(`${folder}/kustomization.yaml`)) as {
      readonly resources: readonly string[];
      readonly images: readonly { readonly name: string; readonly newTag: string }[];
    };
    const files = (await readdir(join(repository, folder))).filter(
      (name) => name.endsWith('.yaml') && name !== 'kustomization.yaml',
    );
    expect(kustomization.resources.toSorted()).toEqual(files.toSorted());
    const images = new Map(kustomization.images.map(({ name, newTag }) => [name, newTag]));
    for (const workload of await workloads()) {
      for (const { image } of podOf(workload).containers) expectExactImage(`${image}:${images.get(image)}`);
    }
    expect((await manifests()).map(({ kind }) => kind)).not.toContain('Secret');
  });

  it('hardens every pod: not root, read-only, no capability, no token of the cluster, no variables of services', async () => {
    expect(await workloads()).toHaveLength(3);
    for (const workload of await workloads()) {
      const pod = podOf(workload);
      expect([workload.metadata.name, pod]).toEqual([
        workload.metadata.name,
        expect.objectContaining({
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          securityContext: expect.objectContaining({
            runAsNonRoot: true,
            runAsUser: 10_001,
            seccompProfile: { type: 'RuntimeDefault' },
          }) as Json,
        }),
      ]);
      for (const container of pod.containers) {
        expect(container).toMatchObject({
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources: {
            requests: { cpu: expect.anything() as unknown },
            limits: { memory: expect.anything() as unknown },
          },
        });
      }
    }
    const namespace = (await manifests()).find(({ kind }) => kind === 'Namespace');
    expect(namespace?.metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
  });

  it('has only variables that the engine knows, with values that it takes', async () => {
    for (const workload of await workloads()) checkVariables(await variablesOf(podOf(workload)));
  });

  it('turns metrics on by a component that patches the nodes: with a token, and over TLS, as it must be there', async () => {
    const { patches } = parse(await read(`${folder}/metrics/kustomization.yaml`)) as {
      readonly patches: readonly { readonly target: Json; readonly patch: string }[];
    };
    const [{ target, patch } = { target: {}, patch: '' }] = patches;
    expect(target).toEqual({ kind: 'StatefulSet', name: 'node' });
    const pod = podOf(parse(patch) as Manifest);
    const node = (await workloads()).find(({ metadata }) => metadata.name === 'node') as Manifest;
    const variables = { ...(await variablesOf(podOf(node))), ...(await variablesOf(pod)) };
    checkVariables(variables);
    const settings = readEnvironment(variables);
    for (const file of [settings.metricsTokenFile, settings.healthTlsKeyFile, settings.healthTlsCertFile]) {
      expect(file).toMatch(/^\/metrics\//);
    }
    for (const kind of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
      expect(pod.containers[0]?.[kind]).toEqual({ httpGet: { scheme: 'HTTPS' } });
    }
    const [{ secret } = {}] = pod.volumes;
    expect(await read(`${folder}/metrics/kustomization.yaml`)).toContain(`generic ${secret?.secretName} `);
  });

  it('waits for nodes longer than they need to drain', async () => {
    const node = (await workloads()).find(({ metadata }) => metadata.name === 'node') as Manifest;
    const { drainGraceMs, abortGraceMs } = checkVariables(await variablesOf(podOf(node)));
    const graceMs = podOf(node).terminationGracePeriodSeconds * 1_000;
    expect(graceMs).toBeGreaterThanOrEqual(drainGraceMs + abortGraceMs + stopMarginMs);
  });

  it('probes start, readiness and life of every pod on ports that it has, by paths that exist', async () => {
    for (const workload of await workloads()) {
      for (const container of podOf(workload).containers) {
        const ports = container.ports.map(({ name }) => name);
        for (const [kind, path] of [
          ['startupProbe', '/startupz'],
          ['readinessProbe', '/readyz'],
          ['livenessProbe', '/livez'],
        ] as const) {
          const probe = container[kind] as { readonly httpGet?: Json; readonly exec?: Json } | undefined;
          if (container.image === 'nats') {
            expect(JSON.stringify(probe?.exec)).toContain('http://127.0.0.1:8222/healthz');
          } else {
            expect(probe?.httpGet).toMatchObject({ path });
            expect(ports).toContain(probe?.httpGet?.['port']);
          }
        }
      }
    }
  });

  it('has the health of nodes on an address that a kubelet reaches, and that of the console by a name it answers for', async () => {
    const [node, console] = ['node', 'console'].map(
      (name) => async () => (await workloads()).find(({ metadata }) => metadata.name === name) as Manifest,
    );
    const settings = readEnvironment(await variablesOf(podOf((await node?.()) as Manifest)));
    expect(settings).toMatchObject({ healthHost: '0.0.0.0', healthPort: 4_281 });
    const shown = podOf((await console?.()) as Manifest);
    const hosts = readEnvironment(await variablesOf(shown)).adminAllowedHosts?.split(',');
    const probe = shown.containers[0]?.['readinessProbe'] as {
      readonly httpGet: { readonly httpHeaders: readonly Json[] };
    };
    expect(hosts).toContain(probe.httpGet.httpHeaders.find(({ name }) => name === 'Host')?.['value']);
  });

  it('mounts what is mounted: each volume is there, each secret and its key are made by the commands of docs/OPERATING.md', async () => {
    const page = await read('docs/OPERATING.md');
    for (const workload of await workloads()) {
      const pod = podOf(workload);
      const claims = (workload.spec['volumeClaimTemplates'] ?? []) as readonly Manifest[];
      const known = [...pod.volumes.map(({ name }) => name), ...claims.map(({ metadata }) => metadata.name)];
      for (const { volumeMounts } of pod.containers) {
        for (const { name } of volumeMounts) expect(known).toContain(name);
        expect(volumeMounts.map(({ mountPath }) => mountPath)).toContain('/data');
      }
      for (const { secret } of pod.volumes) {
        if (secret !== undefined)
          expect(page).toMatch(new RegExp(`create secret (?:generic|tls) ${secret.secretName} `));
      }
      const { NATS_NKEY: file } = await variablesOf(pod);
      if (file !== undefined) expect(page).toContain(`--from-file nats/keys/${file.replace('/keys/', '')}`);
    }
  });

  it('runs servers by the names of which nats-config writes the files, and nodes that look for them there', async () => {
    const page = await read('docs/OPERATING.md');
    const hosts = /nats-config --no-tls --out nats --hosts (nats-0\S+)/.exec(page)?.[1]?.split(',') ?? [];
    const all = await manifests();
    const servers = all.find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === 'nats');
    expect(hosts).toHaveLength(Number(servers?.spec['replicas']));
    expect(hosts).toEqual([0, 1, 2].map((index) => `nats-${index}.${String(servers?.spec['serviceName'])}`));
    const settings = all.find(({ kind }) => kind === 'ConfigMap')?.data ?? {};
    expect(settings['NATS_URL']?.split(',')).toEqual(hosts.map((host) => `nats://${host}:4222`));
    expect(settings['CABINET_REPLICAS']).toBe(String(hosts.length));
    expect(serverConfigs(hosts, '/data')[0]).toContain('listen: "nats-0.nats:4222"');
  });

  it('lets one of several go at a time, selects pods that are there, and lets in nobody who is not named', async () => {
    const all = await manifests();
    const labels = (await workloads()).map(
      ({ spec }) => (spec['template'] as { readonly metadata: { readonly labels: Json } }).metadata.labels,
    );
    const budgets = all.filter(({ kind }) => kind === 'PodDisruptionBudget');
    expect(budgets.map(({ metadata }) => metadata.name).toSorted()).toEqual(['nats', 'node']);
    for (const { spec } of budgets) expect(spec['maxUnavailable']).toBe(1);
    const selected = all.flatMap(({ kind, spec }): readonly Json[] => {
      if (kind === 'Service') return [spec['selector'] as Json];
      const selector = (spec as { readonly selector?: Json; readonly podSelector?: Json } | undefined) ?? {};
      const { matchLabels } = { ...selector.selector, ...selector.podSelector } as { readonly matchLabels?: Json };
      return matchLabels === undefined ? [] : [matchLabels];
    });
    expect(selected.length).toBeGreaterThan(8);
    for (const selector of selected) expect(labels).toContainEqual(selector);
    const closed = all.find(({ kind, spec }) => kind === 'NetworkPolicy' && spec['ingress'] === undefined);
    expect(closed?.spec).toEqual({ podSelector: {}, policyTypes: ['Ingress'] });
  });
});
