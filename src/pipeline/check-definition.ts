import type { StandardSchemaV1 } from '@standard-schema/spec';
import { configRanges } from '../core/config.ts';
import { EngineError } from '../core/errors.ts';
import { parsePipelineName, parsePortName, parseStageName, type PipelineName, type StageName } from '../core/ids.ts';
import type { AnyDriver, Classify } from '../ports/driver.ts';
import { checkRetry } from './check-retry.ts';
import type { SkipRule, StageEffect, StageSpec } from './definition.ts';
import { reservedStateNames } from './machine-config.ts';

/** Most stages of one pipeline. */
export const maximumStages = 64;
/** Longest time of one attempt: 30 days. */
export const maximumTimeoutMs = 30 * 24 * 3_600_000;
/** Longest total deadline of a stage: 366 days. */
export const maximumDeadlineMs = 366 * 24 * 3_600_000;
/** Longest reason of a declared skip, in characters. */
export const maximumReasonLength = 200;

const pipelineFields = ['name', 'version', 'input', 'stages'];
const stageFields = [
  'output',
  'driver',
  'retry',
  'timeoutMs',
  'heartbeatTimeoutMs',
  'deadlineMs',
  'concurrency',
  'port',
  'effect',
  'skip',
  'classify',
];
// Outputs are kept under their stage's name, and JSON values may not have these keys.
const unsafeNames = ['constructor', 'prototype'];
const effects: readonly StageEffect[] = ['idempotent', 'atMostOnce'];

/** A stage as its author gave it, not checked at all. */
export interface StageDraft {
  readonly name: unknown;
  readonly options: unknown;
}

/** The pipeline's own fields, checked. */
export interface PipelineHead {
  readonly name: PipelineName;
  readonly version: number;
  readonly input: StandardSchemaV1;
  readonly stages: (...args: never[]) => unknown;
}

/** The pipeline's own fields. @throws EngineError `PIPELINE_INVALID` with the field */
export function checkPipelineOptions(options: unknown): PipelineHead {
  const fields = checkObject(options, 'definition', '', pipelineFields);
  const version = fields['version'];
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1) {
    throw pipelineInvalid('version', 'a positive integer', version);
  }
  const stages = fields['stages'];
  if (typeof stages !== 'function') {
    throw pipelineInvalid('stages', 'a function such as (pipeline) => pipeline.stage(…)', stages);
  }
  return {
    name: renameError('name', () => parsePipelineName(fields['name'], 'name')),
    version,
    input: checkSchema(fields['input'], 'input'),
    stages: stages as PipelineHead['stages'],
  };
}

/**
 * The stages, checked and complete.
 *
 * @throws EngineError `PIPELINE_INVALID` or `RETRY_POLICY_INVALID`, whose field is a path such as `stages.photos.timeoutMs`
 */
export function checkStages(drafts: readonly StageDraft[]): StageSpec[] {
  if (drafts.length === 0 || drafts.length > maximumStages) {
    throw pipelineInvalid('stages', `1 to ${maximumStages} stages`, drafts.length);
  }
  const taken = new Set<StageName>();
  return drafts.map((draft, index) => {
    const name = checkStageName(draft.name, `stages[${index}].name`, taken);
    taken.add(name);
    return checkStage(name, index, draft.options);
  });
}

function checkStageName(value: unknown, path: string, taken: ReadonlySet<StageName>): StageName {
  const name = renameError(path, () => parseStageName(value, path));
  if ([...reservedStateNames, ...unsafeNames].includes(name)) {
    throw pipelineInvalid(path, `another name: '${name}' is reserved`, name);
  }
  if (taken.has(name)) throw pipelineInvalid(path, `another name: there is a stage '${name}' already`, name);
  return name;
}

function checkStage(name: StageName, index: number, options: unknown): StageSpec {
  const path = `stages.${name}`;
  const fields = checkObject(options, path, `${path}.`, stageFields);
  const timeoutMs = checkInteger(fields['timeoutMs'], `${path}.timeoutMs`, 1, maximumTimeoutMs);
  const effect = checkOptional(fields['effect'], (value) => checkEffect(value, `${path}.effect`)) ?? 'idempotent';
  return {
    name,
    index,
    output: checkSchema(fields['output'], `${path}.output`),
    driver: checkDriver(fields['driver'], `${path}.driver`),
    retry: checkRetry(fields['retry'], `${path}.retry`, effect),
    timeoutMs,
    heartbeatTimeoutMs: checkOptional(fields['heartbeatTimeoutMs'], (value) =>
      checkInteger(value, `${path}.heartbeatTimeoutMs`, 1, timeoutMs, `timeoutMs (${timeoutMs})`),
    ),
    deadlineMs: checkOptional(fields['deadlineMs'], (value) =>
      checkInteger(value, `${path}.deadlineMs`, timeoutMs, maximumDeadlineMs),
    ),
    concurrency: checkOptional(fields['concurrency'], (value) =>
      checkInteger(value, `${path}.concurrency`, 1, configRanges.maxRunningStages.most),
    ),
    port: checkOptional(fields['port'], (value) =>
      renameError(`${path}.port`, () => parsePortName(value, `${path}.port`)),
    ),
    effect,
    skip: checkOptional(fields['skip'], (value) => checkSkip(value, `${path}.skip`)),
    classify: checkOptional(
      fields['classify'],
      (value) => checkFunction(value, `${path}.classify`, 'a function of the error') as Classify,
    ),
  };
}

function checkSchema(value: unknown, path: string): StandardSchemaV1 {
  // Some libraries' schemas are functions.
  const holder = typeof value === 'object' || typeof value === 'function' ? value : null;
  const { '~standard': standard } = (holder ?? {}) as { readonly '~standard'?: unknown };
  const { version, validate } = (standard ?? {}) as { readonly version?: unknown; readonly validate?: unknown };
  if (version === 1 && typeof validate === 'function') return value as StandardSchemaV1;
  throw pipelineInvalid(path, 'a Standard Schema, version 1 (zod, valibot, arktype and others make them)', value);
}

function checkDriver(value: unknown, path: string): AnyDriver {
  if (typeof value === 'function') return { execute: value as AnyDriver['execute'] };
  const { execute, lookup } = (value ?? {}) as { readonly execute?: unknown; readonly lookup?: unknown };
  if (typeof execute !== 'function') throw pipelineInvalid(path, 'a function, or an object with execute(ctx)', value);
  if (lookup !== undefined && lookup !== null) checkFunction(lookup, `${path}.lookup`, 'a function of ctx');
  return value as AnyDriver;
}

function checkEffect(value: unknown, path: string): StageEffect {
  const effect = effects.find((known) => known === value);
  if (effect === undefined) throw pipelineInvalid(path, `one of ${effects.join(', ')}`, value);
  return effect;
}

function checkSkip(value: unknown, path: string): SkipRule {
  const { reason, when } = checkObject(value, path, `${path}.`, ['reason', 'when']);
  if (typeof reason !== 'string' || reason.trim() === '' || reason.length > maximumReasonLength) {
    throw pipelineInvalid(`${path}.reason`, `a text of 1 to ${maximumReasonLength} characters`, reason);
  }
  return { reason, when: checkFunction(when, `${path}.when`, 'a function of { input, outputs }') as SkipRule['when'] };
}

function checkFunction(value: unknown, path: string, limit: string): (...args: never[]) => unknown {
  if (typeof value !== 'function') throw pipelineInvalid(path, limit, value);
  return value as (...args: never[]) => unknown;
}

function checkOptional<Type>(value: unknown, check: (value: unknown) => Type): Type | null {
  return value === undefined || value === null ? null : check(value);
}

function checkInteger(value: unknown, path: string, least: number, most: number, mostName = String(most)): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw pipelineInvalid(path, `an integer from ${least} to ${mostName}`, value);
}

function checkObject(
  value: unknown,
  path: string,
  prefix: string,
  allowed: readonly string[],
): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw pipelineInvalid(path, `an object with ${allowed.join(', ')}`, value);
  }
  const unknownField = Object.keys(value).find((name) => !allowed.includes(name));
  if (unknownField !== undefined) {
    throw pipelineInvalid(`${prefix}${unknownField}`, `left out: the fields are ${allowed.join(', ')}`, unknownField);
  }
  return value as Readonly<Record<string, unknown>>;
}

function renameError<Type>(field: string, parse: () => Type): Type {
  try {
    return parse();
  } catch (error) {
    const { message, limit, got } = error as EngineError;
    throw new EngineError('PIPELINE_INVALID', message, { field, limit, got, cause: error });
  }
}

function pipelineInvalid(field: string, limit: string, got: unknown): EngineError {
  const problem = got === undefined ? 'is required and must be' : 'must be';
  return new EngineError('PIPELINE_INVALID', `${field} ${problem} ${limit}`, { field, limit, got });
}
