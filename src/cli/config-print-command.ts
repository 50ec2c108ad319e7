import type { Command } from 'commander';
import { readEnvironment } from '../platform/environment.ts';
import { redacted } from '../platform/redaction.ts';
import { readSettings } from './cluster.ts';
import type { CliContext } from './context.ts';
import {
  addExamples,
  addOutputOptions,
  addSettingOptions,
  type OutputOptions,
  type SettingOptions,
} from './options.ts';
import type { Setting } from './setting.ts';
import { describeSource } from './settings.ts';
import { formatTable, type Column } from './table.ts';
import { showView } from './view.ts';

/** `cabinet config print`. */
export function addConfigPrint(parent: Command, context: CliContext): void {
  const command = parent
    .command('print')
    .description('print every setting in force; secrets are not shown')
    .option('--sources', 'with where each comes from')
    .action(async (options: SettingOptions & OutputOptions & { readonly sources?: boolean }) => {
      const { list } = await readSettings(context, options);
      const settings = list.map(redactSetting);
      const columns: Column<Setting>[] = [
        { title: 'SETTING', value: ({ name }) => name },
        { title: 'VALUE', value: ({ value }) => showSetting(value) },
      ];
      if (options.sources === true) columns.push({ title: 'SOURCE', value: ({ source }) => describeSource(source) });
      const documents = settings.map(({ name, value = null, source }) =>
        options.sources === true ? { name, value, source } : { name, value },
      );
      showView(context, options.output, {
        document:
          options.sources === true
            ? { settings: documents }
            : Object.fromEntries(documents.map(({ name, value }) => [name, value])),
        items: documents,
        text: ({ paint }) => formatTable(columns, settings, { paint }),
        notes: unknownVariableNotes(context),
      });
    });
  addOutputOptions(addSettingOptions(command));
  addExamples(command, 'cabinet config print --sources', 'cabinet config print --json');
}

const secretSettings: ReadonlySet<string> = new Set([
  'nats.token',
  'nats.pass',
  'nats.credentials',
  'nats.nkeySeed',
  'admin.token',
]);
const urlSettings: ReadonlySet<string> = new Set(['nats.servers', 'nats.monitorUrls', 'admin.url']);

/** The setting without a secret in it: no password, token or key, also not one within a URL. */
export function redactSetting(setting: Setting): Setting {
  const { name, value } = setting;
  if (value === undefined) return setting;
  if (secretSettings.has(name)) return { ...setting, value: redacted };
  if (!urlSettings.has(name)) return setting;
  return { ...setting, value: Array.isArray(value) ? value.map(redactUrls) : redactUrls(value) };
}

/** `nats://user:pass@host` → `nats://[redacted]@host`, for each of several with commas between. */
function redactUrls(value: unknown): string {
  // Up to the last `@` before the next comma or path: a password may hold one that is not encoded.
  return String(value).replaceAll(/(^|,)(\s*(?:[a-z]+:\/\/)?)[^,/]*@/gi, `$1$2${redacted}@`);
}

function showSetting(value: unknown): string {
  if (value === undefined) return '–';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function unknownVariableNotes({ environment }: CliContext): readonly string[] {
  return readEnvironment(environment).unknownVariables.map(
    (variable) => `warning: ${variable} has no meaning here; is it misspelled?`,
  );
}
