import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { maximumTokens } from '../../src/admin/access-tokens.ts';
import { maximumActiveRuns } from '../../src/admin/bulk/bulk-runner.ts';
import { maximumSelection } from '../../src/admin/bulk/bulk-run.ts';
import { httpDefaults } from '../../src/admin/http-server.ts';
import { liveDefaults } from '../../src/admin/live/live-server.ts';
import { maximumBodyBytes } from '../../src/admin/request-guard.ts';
import type { CliContext } from '../../src/cli/context.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { configDefaults, configRanges } from '../../src/core/config.ts';
import { maximumIdLength } from '../../src/core/ids.ts';
import { maximumDepth, maximumNodes } from '../../src/core/json.ts';
import { maximumCommandsPerRequest, protocolVersion } from '../../src/core/protocol.ts';
import { minimumNatsVersion } from '../../src/core/server-version.ts';
import { gatewayDefaults } from '../../src/inspector/gateway-limits.ts';
import { maximumStages } from '../../src/pipeline/check-definition.ts';
import { maximumSeries } from '../../src/platform/metric-family.ts';
import { duplicateWindowMs, maximumJournalMessageBytes } from '../../src/store/journal-stream.ts';
import { defaultAuditRetentionMs } from '../../src/store/nats-audit-log.ts';
import { processPolicyDefaults } from '../../src/supervisor/process-state.ts';
import { maximumMessageBytes } from '../../src/transport/request-codec.ts';

const repository = resolve(import.meta.dirname, '../..');
const read = (path: string): Promise<string> => readFile(join(repository, path), 'utf8');

/** Cells of the rows whose first cell is a name in backticks, by that name. */
function rowsOf(page: string): ReadonlyMap<string, readonly string[]> {
  return new Map(
    page.split('\n').flatMap((line) => {
      const cells = line.split('|').map((cell) => cell.trim());
      const name = /^`(\w+)`$/.exec(cells[1] ?? '')?.[1];
      return name === undefined ? [] : [[name, cells.slice(2, -1)] as const];
    }),
  );
}

const shown = (value: unknown): string => (typeof value === 'number' ? value.toLocaleString('en-US') : String(value));

describe('docs/OPERATING.md', () => {
  it('lists every engine setting with its default and its range', async () => {
    const rows = rowsOf(await read('docs/OPERATING.md'));
    const ranges: Readonly<Record<string, { readonly least: number; readonly most: number }>> = configRanges;
    for (const [name, value] of Object.entries(configDefaults)) {
      const range = ranges[name];
      const wanted = [shown(value), range === undefined ? '' : `${shown(range.least)} – ${shown(range.most)}`];
      expect([name, rows.get(name)?.slice(0, 2)]).toEqual([name, wanted]);
    }
  });

  it('lists the fixed limits as the code has them', async () => {
    const rows = rowsOf(await read('docs/OPERATING.md'));
    const limits: Readonly<Record<string, number>> = {
      maximumIdLength,
      maximumStages,
      maximumDepth,
      maximumNodes,
      maximumCommandsPerRequest,
      maximumMessageBytes,
      maximumJournalMessageBytes,
      duplicateWindowMs,
      defaultAuditRetentionMs,
      maximumSeries,
      maximumBodyBytes,
      maximumTokens,
      maximumActiveRuns,
      maximumSelection,
      hungAfterMs: processPolicyDefaults.hungAfterMs,
      graceMarginMs: processPolicyDefaults.graceMarginMs,
      requestTimeoutMs: httpDefaults.requestTimeoutMs,
      maximumConnections: httpDefaults.maximumConnections,
      maximumConnectionsPerPrincipal: liveDefaults.maximumConnectionsPerPrincipal,
      maximumSessions: gatewayDefaults.maximumSessions,
    };
    for (const [name, value] of Object.entries(limits)) {
      expect([name, rows.get(name)?.[0]]).toEqual([name, shown(value)]);
    }
  });

  it('names the versions that are needed and spoken', async () => {
    const page = await read('docs/OPERATING.md');
    expect(page).toContain(`nats-server ${minimumNatsVersion} or newer`);
    expect(page).toContain(`protocol ${protocolVersion},`);
  });

  it.each(['docs/OPERATING.md', 'README.md', 'Dockerfile', 'deploy/compose.yaml', 'deploy/setup.sh'])(
    'and %s name only commands and options that exist',
    async (file) => {
      const program = buildProgram({} as CliContext);
      const strangers = commandsIn(file, await read(file)).flatMap((words) => strangersIn(program, words));
      expect(strangers).toEqual([]);
    },
  );

  it('links to nothing that is not there', async () => {
    const page = await read('docs/OPERATING.md');
    const anchors = new Set(
      [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
        title
          .toLowerCase()
          .replaceAll(/[^a-z0-9 -]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
    const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = '']) => anchor);
    expect(links.length).toBeGreaterThan(10);
    expect(links.filter((anchor) => !anchors.has(anchor))).toEqual([]);
  });
});

/** The words after `cabinet` of each command: in the code blocks of a page, in every line of another file. */
function commandsIn(file: string, text: string): readonly (readonly string[])[] {
  const code = file.endsWith('.md') ? [...text.matchAll(/^ *```\w*\n(.*?)^ *```/gms)].map((block) => block[1]) : [text];
  return code
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .flatMap((line) => {
      const found = /(?:^|\s)(?<!-n )(?:cabinet|\/opt\/cabinet\/dist\/main\.js|--rm cli) ([a-z].*)$/.exec(line)?.[1];
      return found === undefined ? [] : [found.replace(/\s#.*$/, '').match(/'[^']*'|"[^"]*"|\S+/g) ?? []];
    });
}

/** Words of a command line that are no command, or no option of it. */
function strangersIn(program: Command, words: readonly string[]): readonly string[] {
  let command = program;
  let depth = 0;
  for (const word of words) {
    const next = command.commands.find((one) => one.name() === word);
    if (next === undefined) break;
    command = next;
    depth += 1;
  }
  if (depth === 0 || command.commands.length > 0) return [words.join(' ')];
  const known = new Set(command.options.flatMap(({ long, short }) => [long, short]));
  return words
    .filter((word) => /^--?[a-z]/.test(word))
    .map((word) => word.split('=')[0] ?? '')
    .filter((option) => !known.has(option))
    .map((option) => `${words.slice(0, depth).join(' ')} ${option}`);
}
