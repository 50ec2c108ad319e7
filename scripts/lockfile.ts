/** The part of a package's entry in package-lock.json that matters here. */
export interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** package-lock.json, version 3. */
export interface Lockfile {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

const systems = ['android', 'darwin', 'freebsd', 'openharmony', 'win32', 'linux'];
const processors = ['arm64', 'riscv64', 's390x', 'ppc64', 'x64', 'ia32', 'arm'];

/**
 * The packages for other platforms that a lockfile lacks.
 *
 * npm leaves an optional package out of the lockfile when the registry in use does not have it, and `npm ci` then refuses
 * the lockfile that npm itself wrote. On this platform such a package is never installed: an entry with its version and
 * platform, and without a hash, is enough.
 */
export function findMissingPlatforms(lockfile: Lockfile): Readonly<Record<string, LockEntry>> {
  const missing: Record<string, LockEntry> = {};
  for (const parent of Object.values(lockfile.packages)) {
    for (const [name, range] of Object.entries(parent.optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      const version = /^[\^~]?(\d+\.\d+\.\d+\S*)$/.exec(range)?.[1];
      if (path in lockfile.packages || version === undefined) continue;
      missing[path] = { version, ...(parent.dev === true ? { dev: true } : {}), optional: true, ...platformOf(name) };
    }
  }
  return missing;
}

function platformOf(name: string): Pick<LockEntry, 'os' | 'cpu' | 'libc'> {
  const parts = name.slice(name.lastIndexOf('/') + 1).split('-');
  const system = systems.find((candidate) => parts.includes(candidate));
  const processor = processors.find((candidate) => parts.includes(candidate));
  if (system === undefined) throw new Error(`no platform is known of ${name}: write its entry by hand`);
  const library = parts.some((part) => part.startsWith('musl')) ? 'musl' : 'glibc';
  const namesLibrary = parts.some((part) => /^(gnu|musl)/.test(part));
  return {
    os: [system],
    ...(processor === undefined ? {} : { cpu: [processor] }),
    ...(system === 'linux' && namesLibrary ? { libc: [library] } : {}),
  };
}
