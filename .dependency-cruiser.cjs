// The arrows of the architecture, as data: a layer may import itself, the layers listed behind it, and packages.
// Files directly in src/ are composition roots: they build adapters and may import everything.
const words = ['core'];
const ports = ['ports', ...words];
const pipeline = ['pipeline', ...ports];
const actors = ['actors', ...pipeline];
const supervisor = ['supervisor', 'shard', 'cluster', ...actors];

const layers = {
  core: [],
  ports: words,
  pipeline: ports,
  actors: pipeline,
  shard: actors,
  cluster: actors,
  supervisor: ['shard', 'cluster', ...actors],
  // Adapters know the ports they fill, never who uses them.
  transport: ports,
  store: ['transport', ...ports],
  drivers: ports,
  platform: ports,
  projections: pipeline,
  // Judges recorded runs by the actors' own replay; it does nothing but read.
  checking: actors,
  // Messages of task inspections, and their sockets.
  inspector: ['projections', ...pipeline],
  // The client's messages are those of the transport's codec, its views those of the projections and of the cluster's pure rules.
  client: ['transport', 'projections', 'cluster', ...pipeline],
  // Tests that are made from a pipeline's machine; the world that they run in comes from the composition root.
  'model-testing': ['client', ...supervisor],
  // A whole cluster in one process: it builds the adapters of its own world, as the composition roots do.
  simulation: ['checking', 'client', 'platform', 'projections', 'store', 'transport', ...supervisor],
  admin: ['client', 'projections', 'inspector', ...supervisor, '@node.ts', '@client.ts'],
  // Tools for agents: the admin API's schemas over the client, with secrets replaced by the platform's rule.
  mcp: ['admin', 'client', 'platform', 'projections', 'inspector', ...supervisor, '@client.ts'],
  // Commands read the environment and look at the machine; both are the platform's.
  cli: ['mcp', 'admin', 'client', 'platform', 'projections', 'inspector', ...supervisor, '@'],
};

/** A layer as a path pattern; `@` stands for the composition roots, `@name.ts` for one of them. */
const patternOf = (layer) => {
  if (layer === '@') return '^src/[^/]+[.]ts$';
  return layer.startsWith('@') ? `^src/${layer.slice(1).replace('.', '[.]')}$` : `^src/${layer}/`;
};

const layerRules = Object.entries(layers).map(([layer, allowed]) => ({
  name: `${layer}-imports`,
  comment: allowed.length === 0 ? `${layer} imports no other layer` : `${layer} may import only ${allowed.join(', ')}`,
  severity: 'error',
  from: { path: patternOf(layer) },
  to: { path: '^src/', pathNot: [layer, ...allowed].map(patternOf) },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'known-layers',
      comment: 'a folder in src needs its row in the table of layers',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: Object.keys(layers).map(patternOf) },
      to: { path: '.' },
    },
    {
      name: 'no-cycles',
      comment: 'two files that import each other cannot be understood alone',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true },
    },
    {
      name: 'no-development-packages',
      comment: 'what src imports must be installed with the package',
      severity: 'error',
      from: { path: '^src/' },
      // The MCP SDK is an optional peer: `cabinet mcp` loads it, and says what to install when it is not there.
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        pathNot: 'node_modules/@types/|node_modules/@modelcontextprotocol/sdk/',
      },
    },
    {
      name: 'nothing-missing',
      comment: 'an import that cannot be resolved hides what lies behind it',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true, // Types too: an arrow is an arrow.
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
