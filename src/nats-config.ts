import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nkeys } from '@nats-io/transport-node';
import { EngineError } from './core/errors.ts';
import { inboxPrefixOf, natsRoles, type NatsRole } from './store/nats-roles.ts';
import { formatNatsServerConfigs, type NatsServerConfigOptions } from './store/nats-server-config.ts';

/** What {@link writeNatsConfig} is told. */
export interface WriteNatsConfigOptions extends Omit<NatsServerConfigOptions, 'publicKeys' | 'systemKey'> {
  /** Folder for the servers' files and, under `keys`, the roles' seeds; made when it is not there. */
  readonly folder: string;
}

/** What was written. */
export interface WrittenNatsConfig {
  /** One file a server, in the order of the hosts. */
  readonly servers: readonly { readonly host: string; readonly file: string }[];
  readonly roles: readonly {
    readonly role: NatsRole;
    /** The seed, readable by its owner alone. */
    readonly seedFile: string;
    /** Whether it was there before: then the role's processes go on with it. */
    readonly isKept: boolean;
    /** A process of the role must use it, for it may listen to no other. */
    readonly inboxPrefix: string;
  }[];
}

/**
 * Writes the configuration of a cluster's NATS servers, and a key for each role. Keys that are there stay as they are, so that a
 * change of the rest needs no new ones.
 *
 * @throws EngineError `CONFIG_INVALID` as `formatNatsServerConfigs`, and for a key file without a user's seed
 */
export async function writeNatsConfig(options: WriteNatsConfigOptions): Promise<WrittenNatsConfig> {
  const { folder, hosts } = options;
  const placeholder = nkeys.createUser().getPublicKey();
  // What is wrong with the rest is told before anything is written.
  formatNatsServerConfigs({ ...options, publicKeys: sameForAll(placeholder), systemKey: placeholder });
  const keyFolder = join(folder, 'keys');
  await mkdir(keyFolder, { recursive: true, mode: 0o700 });
  const roles: WrittenNatsConfig['roles'][number][] = [];
  const publicKeys = sameForAll('');
  for (const role of natsRoles) {
    const seedFile = join(keyFolder, `${role}.nk`);
    const key = await ensureSeed(seedFile);
    publicKeys[role] = key.publicKey;
    roles.push({ role, seedFile, isKept: key.isKept, inboxPrefix: inboxPrefixOf(role) });
  }
  const system = await ensureSeed(join(keyFolder, 'system.nk'));
  const texts = formatNatsServerConfigs({ ...options, publicKeys, systemKey: system.publicKey });
  const servers: WrittenNatsConfig['servers'][number][] = [];
  for (const [index, host] of hosts.entries()) {
    const file = join(folder, hosts.length === 1 ? 'nats.conf' : `nats-${index + 1}.conf`);
    await writeFile(file, texts[index] ?? '', { mode: 0o600 });
    servers.push({ host, file });
  }
  return { servers, roles };
}

function sameForAll(key: string): Record<NatsRole, string> {
  return Object.fromEntries(natsRoles.map((role) => [role, key])) as Record<NatsRole, string>;
}

async function ensureSeed(file: string): Promise<{ readonly publicKey: string; readonly isKept: boolean }> {
  const existing = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (existing !== null) return { publicKey: publicKeyOf(existing.trim(), file), isKept: true };
  const pair = nkeys.createUser();
  // `wx`: never over a key that another process has written meanwhile.
  await writeFile(file, `${new TextDecoder().decode(pair.getSeed())}\n`, { mode: 0o600, flag: 'wx' });
  return { publicKey: pair.getPublicKey(), isKept: false };
}

function publicKeyOf(seed: string, file: string): string {
  try {
    const publicKey = nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey();
    if (publicKey.startsWith('U')) return publicKey;
  } catch {
    // Told below, without the contents.
  }
  throw new EngineError('CONFIG_INVALID', `${file} holds no NKey seed of a user`, {
    field: 'key file',
    limit: 'SU…',
    hint: 'restore it, or remove it to have a new one made',
  });
}
