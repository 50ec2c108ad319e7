/** One package source of an apt configuration. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** A keyring file, or an armored key as apt writes it into the field itself. */
  readonly signedBy: string | undefined;
  /** The administrator vouches for the source, signed or not. */
  readonly trusted: boolean;
}

/** The enabled binary sources of a `.sources` file (the deb822 style of apt's sources.list(5)). */
export function parseSourcesFile(text: string): readonly AptSource[] {
  return text
    .split(/\n[ \t]*\n/)
    .map(readStanza)
    .flatMap((fields) => {
      const types = words(fields.get('types'));
      if (!types.includes('deb') || /^(no|false|0)$/i.test(fields.get('enabled') ?? 'yes')) return [];
      return words(fields.get('uris')).map((uri) => ({
        uri,
        suites: words(fields.get('suites')),
        components: words(fields.get('components')),
        signedBy: fields.get('signed-by'),
        trusted: isYes(fields.get('trusted')),
      }));
    });
}

/** The binary sources of a `sources.list` file (the one-line style of apt's sources.list(5)). */
export function parseSourcesList(text: string): readonly AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (match === null) return [];
    const [, optionText = '', uri = '', suite = '', components = ''] = match;
    const options = new Map(
      words(optionText).map((option) => {
        const [name = '', value = ''] = option.split('=', 2);
        return [name, value];
      }),
    );
    return [
      {
        uri,
        suites: [suite],
        components: words(components),
        signedBy: options.get('signed-by'),
        trusted: isYes(options.get('trusted')),
      },
    ];
  });
}

/** `source` for other suites and components, as the text of a `.sources` file. */
export function formatSourcesFile(
  source: AptSource,
  target: { readonly suite: string; readonly component: string },
): string {
  const lines = ['Types: deb', `URIs: ${source.uri}`, `Suites: ${target.suite}`, `Components: ${target.component}`];
  if (source.signedBy !== undefined) lines.push(`Signed-By: ${source.signedBy.replaceAll('\n', '\n ')}`);
  if (source.trusted) lines.push('Trusted: yes');
  return `${lines.join('\n')}\n`;
}

/**
 * The source that serves the distribution itself, hence its newer suites too: the one with the machine's own code name.
 *
 * @param codename - `VERSION_CODENAME` of os-release; without one (a rolling system) any suite that has `component` will do
 */
export function chooseSource(
  sources: readonly AptSource[],
  wanted: { readonly codename: string | undefined; readonly component: string },
): AptSource | undefined {
  const usable = sources.filter(
    (source) => source.components.includes(wanted.component) && !source.uri.startsWith('cdrom:'),
  );
  const serving = (suites: readonly string[]): AptSource | undefined =>
    usable.find((source) => source.suites.some((suite) => suites.includes(suite)));
  return serving([wanted.codename ?? '']) ?? serving(['stable', 'testing', 'unstable', 'sid', 'devel']);
}

function readStanza(stanza: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  let current: string | undefined;
  for (const line of stanza.split('\n')) {
    if (line.startsWith('#')) continue;
    const field = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
    if (field !== null) {
      current = (field[1] ?? '').toLowerCase();
      fields.set(current, (field[2] ?? '').trim());
    } else if (current !== undefined && /^\s/.test(line)) {
      fields.set(current, `${fields.get(current) ?? ''}\n${line.trim()}`);
    }
  }
  return fields;
}

function words(text: string | undefined): readonly string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '');
}

function isYes(text: string | undefined): boolean {
  return text !== undefined && /^(yes|true|1)$/i.test(text);
}
