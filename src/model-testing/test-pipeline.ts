import { EngineError } from '../core/errors.ts';
import type { PipelineDefinition, StageSpec } from '../pipeline/definition.ts';
import type { Clock } from '../ports/clock.ts';
import type { AnyDriver, StageContext } from '../ports/driver.ts';
import { pathsOf, type MachinePath } from './machine-paths.ts';
import type { CreateModelWorld } from './model-world.ts';
import { PathPlanner, type Route } from './path-planner.ts';
import { pipelineFaults, runPath, type PathRunSettings, type PipelineFault } from './path-run.ts';
import { PipelineTestError } from './pipeline-test-error.ts';
import { readSample, sampleOf, type Sample, type SampleSize } from './sample-value.ts';
import { simulatedDriver } from './watched-drivers.ts';

/** Most paths that are walked when nothing else is said. */
export const defaultMaximumPaths = 200;
/** Most detours of one path when nothing else is said. */
export const defaultDetours = 2;

/** Drivers by stage; a stage that is left out has a simulated one. */
export type PipelineTestDrivers = Readonly<Record<string, AnyDriver | ((ctx: StageContext) => unknown)>>;

/** Options of `testPipeline`. */
export interface PipelineTestOptions {
  /** Inputs that are submitted. Made from the schema when left out: one that has everything, one that has as little as may be. */
  readonly inputs?: readonly unknown[] | undefined;
  /** An output by stage, that simulated drivers give and paths are planned by. Made from the schemas where left out. */
  readonly outputs?: Readonly<Record<string, unknown>> | undefined;
  /** What drivers see in `ctx.ports`; called for each run, so that each has an outside of its own. */
  readonly ports?: (() => Readonly<Record<string, unknown>>) | undefined;
  /** How often the outside has applied the effect of a key. Without it, a driver that has its effect twice is seen by its output alone. */
  readonly timesApplied?: ((idempotencyKey: string) => number | Promise<number>) | undefined;
  /** Most paths that are walked: from 1; {@link defaultMaximumPaths} when left out. */
  readonly maximumPaths?: number | undefined;
  /** When there are more paths: `notice` adds a case whose name says how many were left out, `error` throws. `notice` when left out. */
  readonly whenCut?: 'notice' | 'error' | undefined;
  /** Most detours of one path, all within one stage: 0 to 3; {@link defaultDetours} when left out. */
  readonly detours?: number | undefined;
  /** The faults that are put at each step; all when left out. */
  readonly faults?: readonly PipelineFault[] | undefined;
}

/** One case: a path under a fault, which is put at each of the path's own steps in turn. */
export interface PipelineTestCase {
  /** Unique among the cases. */
  readonly name: string;
  /** Resolves when all holds. @throws PipelineTestError that tells path, fault, step, and what was expected */
  readonly run: () => Promise<void>;
}

/** The drivers of a test: simulated ones, the definition's own, or some of the test's, made anew for each run when it is a function. */
export type PipelineTestDriversChoice =
  'simulated' | 'own' | PipelineTestDrivers | ((tools: { readonly clock: Clock }) => PipelineTestDrivers);

/**
 * The cases of a pipeline: the paths of its machine, each under each fault.
 *
 * @throws EngineError `INVALID_ARGUMENT` when no sample of an input or output can be made, for options out of range, and with
 *   `whenCut: 'error'` when there are more paths than `maximumPaths`
 */
export function planPipelineTests(
  create: CreateModelWorld,
  definition: PipelineDefinition,
  drivers: PipelineTestDriversChoice = 'simulated',
  options: PipelineTestOptions = {},
): readonly PipelineTestCase[] {
  const {
    faults = pipelineFaults,
    maximumPaths = defaultMaximumPaths,
    detours = defaultDetours,
    whenCut = 'notice',
  } = options;
  checkRange('maximumPaths', maximumPaths, 1, 100_000);
  checkRange('detours', detours, 0, 3);
  const planned = routesOf(definition, options).flatMap((route, index) => {
    // The machine's paths are the same by any route: the others show where the skips lead.
    const planner = new PathPlanner(withDriversOf(definition, drivers), route);
    return pathsOf(planner, index === 0 ? detours : 0).map((path) => ({ route, path }));
  });
  const distinct = [...new Map(planned.map((one) => [one.path.name, one])).values()];
  const walked = distinct.slice(0, maximumPaths);
  if (walked.length < distinct.length && whenCut === 'error') {
    throw new EngineError('INVALID_ARGUMENT', `${definition.name} has ${distinct.length} paths`, {
      field: 'maximumPaths',
      limit: `${maximumPaths}`,
      got: distinct.length,
      hint: 'raise maximumPaths, or take fewer detours',
    });
  }
  const title = `${definition.name} version ${definition.version}`;
  const cases = walked.flatMap(({ path, route }) =>
    faults.map((fault): PipelineTestCase => {
      const name = `${title} › ${path.name} › ${fault === 'none' ? 'no fault' : fault}`;
      return { name, run: () => runCase({ create, definition, drivers, options, route, path, fault }) };
    }),
  );
  if (walked.length === distinct.length) return cases;
  const notice = `${title} › ${walked.length} of ${distinct.length} paths are walked: maximumPaths cuts the others off`;
  return [...cases, { name: notice, run: () => Promise.resolve() }];
}

interface CaseSettings {
  readonly create: CreateModelWorld;
  readonly definition: PipelineDefinition;
  readonly drivers: PipelineTestDriversChoice;
  readonly options: PipelineTestOptions;
  readonly route: Route;
  readonly path: MachinePath;
  readonly fault: PipelineFault;
}

async function runCase({ definition, drivers, options, route, path, fault, create }: CaseSettings): Promise<void> {
  const { from, to } = fault === 'none' ? { from: 0, to: 0 } : path.own;
  for (let faultStep = from; faultStep <= to; faultStep += 1) {
    const settings: PathRunSettings = {
      create,
      definition,
      driverOf: (clock) => driversOf(definition, drivers, route, clock),
      ports: options.ports ?? (() => ({})),
      timesApplied: options.timesApplied,
      route,
      path,
      fault,
      faultStep,
    };
    const story = await runPath(settings);
    if (story !== null) throw new PipelineTestError(story);
  }
}

/** Who does the work of each stage, made anew. */
function driversOf(
  definition: PipelineDefinition,
  choice: PipelineTestDriversChoice,
  route: Route,
  clock: Clock,
): (stage: string) => AnyDriver {
  const applied = new Set<string>();
  const given = typeof choice === 'function' ? choice({ clock }) : choice;
  return (name) => {
    const spec = stageNamed(definition, name);
    if (given === 'own') return spec.driver;
    const own = given === 'simulated' ? undefined : given[name];
    if (own === undefined) return simulatedDriver(spec, route.outputs[name], applied);
    return typeof own === 'function' ? { execute: own } : own;
  };
}

/** The definition as its paths are planned: what follows an interruption depends on which drivers have a lookup. */
function withDriversOf(definition: PipelineDefinition, choice: PipelineTestDriversChoice): PipelineDefinition {
  if (choice === 'simulated' || choice === 'own') return definition;
  const nothing: Route = { input: null, readInput: null, outputs: {}, readOutputs: {} };
  const idleClock: Clock = {
    now: () => 0,
    monotonicMs: () => 0,
    setTimer: () => ({ cancel: () => {} }),
    defer: () => {},
  };
  const driverOf = driversOf(definition, choice, nothing, idleClock);
  const stages = definition.stages.map((spec) => ({ ...spec, driver: driverOf(spec.name) }));
  const byName = new Map(stages.map((spec) => [spec.name, spec]));
  return { ...definition, stages, stage: (name) => byName.get(name) ?? definition.stage(name) };
}

function stageNamed(definition: PipelineDefinition, name: string): StageSpec {
  const spec = definition.stages.find((stage) => stage.name === name);
  if (spec !== undefined) return spec;
  throw new EngineError('INVALID_ARGUMENT', `pipeline ${definition.name} has no stage ${name}`, {
    field: 'stage',
    limit: definition.stages.map((stage) => stage.name).join(', '),
    got: name,
  });
}

/** Every combination of the samples that leads through other stages than the ones before. */
function routesOf(definition: PipelineDefinition, options: PipelineTestOptions): readonly Route[] {
  const sizes: readonly SampleSize[] = ['full', 'least'];
  const inputs: readonly Sample[] =
    options.inputs?.map((input, index) => readSample(definition.input, input, `inputs[${index}]`)) ??
    sizes.map((size) => sampleOf(definition.input, size, 'inputs'));
  return inputs.flatMap((input) =>
    sizes.map((size): Route => {
      const samples = definition.stages.map(({ name, output }): readonly [string, Sample] => {
        const given = options.outputs?.[name];
        const field = `outputs.${name}`;
        return [name, given === undefined ? sampleOf(output, size, field) : readSample(output, given, field)];
      });
      return {
        input: input.given,
        readInput: input.read,
        outputs: Object.fromEntries(samples.map(([name, { given }]) => [name, given])),
        readOutputs: Object.fromEntries(samples.map(([name, { read }]) => [name, read])),
      };
    }),
  );
}

function checkRange(field: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const limit = `a whole number from ${least} to ${most}`;
  throw new EngineError('INVALID_ARGUMENT', `${field} must be ${limit}`, { field, limit, got: value });
}
