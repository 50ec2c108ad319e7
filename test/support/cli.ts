import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const readyTimeoutMs = 60_000;
const pollIntervalMs = 50;

/** How a test runs the command line: what was built, unless a source is newer than it. */
export interface CliEntry {
  readonly nodeArguments: readonly string[];
  /** Module with the public API, of the same build. */
  readonly apiUrl: string;
}

/** The built command when it is up to date, else the sources under a loader. */
export function findCliEntry(): CliEntry {
  const built = join(root, 'dist', 'main.js');
  if (existsSync(built) && statSync(built).mtimeMs >= newestMtimeMs(join(root, 'src'))) {
    return { nodeArguments: [built], apiUrl: pathToFileURL(join(root, 'dist', 'index.js')).href };
  }
  // By their URLs: the working folder of a command is not this one. The second is for its threads.
  const loaders = [
    import.meta.resolve('tsx'),
    new URL('../fixtures/drivers/register-tsx.mjs', import.meta.url).href,
  ].flatMap((loader) => ['--import', loader]);
  return {
    nodeArguments: [...loaders, join(root, 'src', 'main.ts')],
    apiUrl: pathToFileURL(join(root, 'src', 'index.ts')).href,
  };
}

/** What a command came to. */
export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Of `stdout`. */
  json(): unknown;
  /** Of each line of `stdout`. */
  lines(): readonly unknown[];
}

/** A folder with a configuration file, commands that run in it, and the engines that were started in it. */
export class CliFolder {
  readonly path: string;
  readonly #entry: CliEntry;
  readonly #children = new Set<ChildProcess>();

  private constructor(path: string, entry: CliEntry) {
    this.path = path;
    this.#entry = entry;
  }

  /** A new folder, with the configuration of a module of `fixtures`. */
  static async create(fixtureName = 'cli-pipelines.mjs'): Promise<CliFolder> {
    const path = await mkdtemp(join(tmpdir(), 'cabinet-cli-'));
    const folder = new CliFolder(path, findCliEntry());
    const fixture = new URL(`fixtures/${fixtureName}`, import.meta.url).href;
    await folder.write(
      'cabinet.config.mjs',
      `import * as engine from '${folder.#entry.apiUrl}';\n` +
        `import { makeConfig } from '${fixture}';\n` +
        `export default makeConfig(engine, ${JSON.stringify(path)});\n`,
    );
    return folder;
  }

  /** Whether the commands run under a loader that reads TypeScript. */
  get isLoadingTypeScript(): boolean {
    return this.#entry.nodeArguments.includes('--import');
  }

  async write(name: string, text: string): Promise<void> {
    await writeFile(join(this.path, name), text);
  }

  read(name: string): Promise<string> {
    return readFile(join(this.path, name), 'utf8');
  }

  /** Starts a command; `stop` ends it when it still runs. */
  spawn(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const child = spawn(process.execPath, [...this.#entry.nodeArguments, ...args], {
      cwd: this.path,
      env: { ...baseEnvironment(), ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Runs a command to its end. */
  async run(
    args: readonly string[],
    options: { readonly stdin?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<CliRun> {
    const child = this.spawn(args, options.env);
    const output = collect(child);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.stdin ?? '');
    const [code] = (await once(child, 'close')) as [number | null];
    const { stdout, stderr } = output();
    return {
      code,
      stdout,
      stderr,
      json: () => JSON.parse(stdout) as unknown,
      lines: () =>
        stdout
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as unknown),
    };
  }

  /** Runs `cabinet dev` until it says that it is ready. */
  startDev(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<RunningDev> {
    return this.startCommand(['dev', '-o', 'json', ...args], env);
  }

  /** Runs a command that serves, with JSON output, until it says that it is ready. */
  async startCommand(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunningDev> {
    const child = this.spawn(args, env);
    const output = collect(child);
    const deadline = performance.now() + readyTimeoutMs;
    while (!output().stdout.includes('\n')) {
      if (child.exitCode !== null || performance.now() > deadline) {
        child.kill('SIGKILL');
        throw new Error(`cabinet ${args[0]} did not become ready: ${JSON.stringify(output())}`);
      }
      await sleep(pollIntervalMs);
    }
    return new RunningDev(child, output);
  }

  /** Ends what still runs and removes the folder. */
  async remove(): Promise<void> {
    for (const child of this.#children) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    await rm(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A `cabinet dev` that is ready. */
export class RunningDev {
  readonly #child: ChildProcess;
  readonly #output: () => { readonly stdout: string; readonly stderr: string };

  constructor(child: ChildProcess, output: () => { readonly stdout: string; readonly stderr: string }) {
    this.#child = child;
    this.#output = output;
  }

  /** What it said when it was ready. */
  get ready(): Readonly<Record<string, unknown>> {
    return JSON.parse(this.#output().stdout.split('\n', 1)[0] ?? '') as Readonly<Record<string, unknown>>;
  }

  get stderr(): string {
    return this.#output().stderr;
  }

  get child(): ChildProcess {
    return this.#child;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The exit code, once it has ended. */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const [code] = (await once(this.#child, 'close')) as [number | null];
    return code;
  }

  /** Ends it in good order. */
  async stop(): Promise<number | null> {
    const ended = this.ended();
    this.signal('SIGTERM');
    return ended;
  }
}

/** Waits until a condition holds. */
export async function until(what: string, holds: () => Promise<boolean> | boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(pollIntervalMs);
  }
}

function collect(child: ChildProcess): () => { readonly stdout: string; readonly stderr: string } {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return () => ({ stdout, stderr });
}

/** This process's variables, without those that a command would take for its own. */
function baseEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(?:CABINET_|NATS_URL$|NATS_CREDS$|CI$|FORCE_COLOR$|NO_COLOR$)/.test(name),
    ),
  );
}

function newestMtimeMs(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .reduce((newest, name) => Math.max(newest, statSync(join(folder, name)).mtimeMs), 0);
}
