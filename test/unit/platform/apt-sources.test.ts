import { describe, expect, it } from 'vitest';

import {
  chooseSource,
  formatSourcesFile,
  parseSourcesFile,
  parseSourcesList,
} from '../../../src/platform/apt-sources.ts';

const sourcesFile = `# written by the installer
Types: deb deb-src
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://mirror.test/security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://mirror.test/sources-only
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://mirror.test/disabled
Suites: bookworm
Components: main
`;

describe('apt sources', () => {
  it('are read from a .sources file, without source packages and disabled entries', () => {
    expect(parseSourcesFile(sourcesFile).map((source) => source.uri)).toEqual([
      'http://mirror.test/debian',
      'http://mirror.test/security',
    ]);
    expect(parseSourcesFile(sourcesFile)[0]).toEqual({
      uri: 'http://mirror.test/debian',
      suites: ['bookworm', 'bookworm-updates'],
      components: ['main', 'contrib'],
      signedBy: '/keys/debian.gpg',
      trusted: false,
    });
  });

  it('keep a key that stands in the file itself, line by line', () => {
    const text =
      'Types: deb\nURIs: http://m.test/d\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n';
    const [source] = parseSourcesFile(text);
    expect(source?.signedBy).toBe('\n-----BEGIN\n.\nabc');
    if (source === undefined) throw new Error('no source');
    expect(formatSourcesFile(source, { suite: 'testing', component: 'main' })).toBe(
      'Types: deb\nURIs: http://m.test/d\nSuites: testing\nComponents: main\nSigned-By: \n -----BEGIN\n .\n abc\n',
    );
  });

  it('are read from one-line entries, with and without options', () => {
    const text = [
      '# comment',
      'deb http://plain.test/debian bookworm main # note',
      'deb [arch=amd64 signed-by=/keys/a.gpg trusted=yes] http://optioned.test/debian trixie main contrib',
      'deb-src http://plain.test/debian bookworm main',
    ].join('\n');
    expect(parseSourcesList(text)).toEqual([
      {
        uri: 'http://plain.test/debian',
        suites: ['bookworm'],
        components: ['main'],
        signedBy: undefined,
        trusted: false,
      },
      {
        uri: 'http://optioned.test/debian',
        suites: ['trixie'],
        components: ['main', 'contrib'],
        signedBy: '/keys/a.gpg',
        trusted: true,
      },
    ]);
  });

  it('give the entry of the running release, not of its security updates or of a third party', () => {
    const sources = [
      ...parseSourcesList('deb http://third.test/tools nodistro main\ndeb cdrom:[disc]/ bookworm main'),
      ...parseSourcesFile(sourcesFile).toReversed(),
    ];
    expect(chooseSource(sources, { codename: 'bookworm', component: 'main' })?.uri).toBe('http://mirror.test/debian');
  });

  it('give a rolling release its own entry, and nothing where none fits', () => {
    const sources = parseSourcesList('deb http://rolling.test/debian sid main');
    expect(chooseSource(sources, { codename: undefined, component: 'main' })?.uri).toBe('http://rolling.test/debian');
    expect(chooseSource(sources, { codename: 'bookworm', component: 'universe' })).toBeUndefined();
  });
});
