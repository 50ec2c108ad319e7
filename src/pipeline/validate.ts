import type { StandardSchemaV1 } from '@standard-schema/spec';
import { asError } from '../core/errors.ts';

/** Most issues that one validation reports; a value that is wrong everywhere must not make a reply of megabytes. */
export const maximumIssues = 20;
/** Longest message of one issue, in characters. */
export const maximumIssueMessageLength = 500;
/** Longest path of one issue, in characters. */
export const maximumIssuePathLength = 500;

/** One thing that is wrong with a value. */
export interface ValidationIssue {
  /** Where, such as `$.photos[3].url`; `$` is the value itself. */
  readonly path: string;
  readonly message: string;
}

/** What a schema says of a value: the value as the schema gives it out, or what is wrong with it. */
export type Validation<Output> =
  | { readonly ok: true; readonly value: Output }
  | {
      readonly ok: false;
      /** At most {@link maximumIssues}, in the schema's order. */
      readonly issues: readonly ValidationIssue[];
    };

/**
 * What the schema says of the value; a promise only when the schema answers with one. Never rejects: a schema that throws has
 * refused the value, and its error is the issue.
 */
export function validateWith<Output>(
  schema: StandardSchemaV1<unknown, Output>,
  value: unknown,
): Validation<Output> | Promise<Validation<Output>> {
  try {
    const result = schema['~standard'].validate(value);
    return result instanceof Promise ? result.then(readResult, refusedBy) : readResult(result);
  } catch (error) {
    return refusedBy(error);
  }
}

function readResult<Output>(result: StandardSchemaV1.Result<Output>): Validation<Output> {
  if (!result.issues) return { ok: true, value: result.value };
  return { ok: false, issues: result.issues.slice(0, maximumIssues).map((issue) => describeIssue(issue)) };
}

function refusedBy(error: unknown): { readonly ok: false; readonly issues: readonly ValidationIssue[] } {
  return { ok: false, issues: [describeIssue({ message: `the schema threw: ${asError(error).message}` })] };
}

function describeIssue(issue: StandardSchemaV1.Issue): ValidationIssue {
  const path = (issue.path ?? []).map((segment) => describeSegment(segment)).join('');
  return {
    path: `$${path}`.slice(0, maximumIssuePathLength),
    message: issue.message.slice(0, maximumIssueMessageLength),
  };
}

function describeSegment(segment: PropertyKey | StandardSchemaV1.PathSegment): string {
  const key = typeof segment === 'object' ? segment.key : segment;
  if (typeof key === 'number') return `[${key}]`;
  const name = String(key);
  return /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}
