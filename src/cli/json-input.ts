import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { asError, EngineError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { parseStrictJson } from '../core/strict-json.ts';
import { usageError } from './cli-error.ts';
import type { CliContext } from './context.ts';

/** Largest JSON text that is read at all; the engine's own limits are far below. */
const maximumTextBytes = 256 * 1024 * 1024;

/** JSON text as a value. @param source - where it stands, for the message. @throws EngineError `INVALID_ARGUMENT`, `UNSERIALIZABLE` */
export function parseJsonText(text: string, source: string): JsonValue {
  try {
    return parseStrictJson(Buffer.from(text), maximumTextBytes);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const code = error.code === 'INVALID_MESSAGE' ? 'INVALID_ARGUMENT' : error.code;
    throw new EngineError(code, `${source}: ${error.message}`, {
      field: source,
      limit: error.limit,
      got: error.got,
      hint: error.hint ?? (source === '--input' ? 'quote it for the shell: --input \'{"key": 1}\'' : undefined),
    });
  }
}

/** The JSON value in a file, or on stdin for `-`. @throws EngineError `INVALID_ARGUMENT`, `UNSERIALIZABLE` */
export async function readJsonFile(context: CliContext, file: string, option: string): Promise<JsonValue> {
  const text = file === '-' ? await readAll(context.stdin) : await readText(context, file, option);
  return parseJsonText(text, file === '-' ? 'stdin' : file);
}

/** Lines of a file, or of stdin for `-`, numbered from 1, without the blank ones. @throws EngineError `INVALID_ARGUMENT` */
export async function* readLines(
  context: CliContext,
  file: string,
  option: string,
): AsyncGenerator<{ readonly number: number; readonly text: string }, void, undefined> {
  const stream = file === '-' ? context.stdin : createReadStream(resolve(context.workingFolder, file));
  // Node's releases differ in whether readline passes its input's errors on, and to whom: both are listened to.
  let failure: Error | undefined;
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  const fail = (error: Error): void => {
    failure ??= error;
    lines.close();
  };
  stream.on('error', fail);
  lines.on('error', fail);
  let number = 0;
  try {
    for await (const text of lines) {
      number += 1;
      if (text.trim() !== '') yield { number, text: number === 1 ? text.replace(/^\uFEFF/, '') : text };
    }
  } catch (error) {
    failure ??= asError(error);
  }
  if (failure !== undefined) throw unreadable(option, file, failure);
}

async function readText(context: CliContext, file: string, option: string): Promise<string> {
  try {
    return await readFile(resolve(context.workingFolder, file), 'utf8');
  } catch (error) {
    throw unreadable(option, file, asError(error));
  }
}

function unreadable(option: string, file: string, error: Error): EngineError {
  return usageError(`${option} ${file} cannot be read: ${error.message}`, 'name a file, or - for stdin', option);
}

async function readAll(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Buffer | string));
  return Buffer.concat(chunks).toString('utf8');
}
