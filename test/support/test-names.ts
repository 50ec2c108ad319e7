import { readdir, readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';

import ts from 'typescript';

const repository = resolve(import.meta.dirname, '../..');

/** A test as its source names it; for a table of tests with the texts of the table behind the name. */
export interface NamedTest {
  /** From the repository's root. */
  readonly file: string;
  readonly name: string;
}

/** Every `it` and `test` in the repository, read from the source, with the titles of the blocks around it left out. */
export async function readTestNames(): Promise<readonly NamedTest[]> {
  const files = (await Promise.all(['test', 'examples'].map(listSources))).flat();
  const names = await Promise.all(
    files.map(async (file) => readNames(relative(repository, file), await readFile(file, 'utf8'))),
  );
  return names.flat();
}

/** The tests in one source text. */
export function readNames(file: string, text: string): readonly NamedTest[] {
  const found: NamedTest[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const name = nameOf(node);
      if (name !== undefined) found.push({ file, name });
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true));
  return found;
}

async function listSources(folder: string): Promise<readonly string[]> {
  const names = await readdir(join(repository, folder), { recursive: true }).catch(() => []);
  return names.filter((name) => /\.(test|contract)\.ts$/.test(name)).map((name) => join(repository, folder, name));
}

function nameOf(call: ts.CallExpression): string | undefined {
  const [title] = call.arguments;
  if (title === undefined || !isTestFunction(call.expression)) return undefined;
  if (!ts.isStringLiteralLike(title) && !ts.isTemplateExpression(title)) return undefined;
  const text = ts.isStringLiteralLike(title) ? title.text : title.getText().slice(1, -1);
  // `it.each(table)(title)`: what stands in the table becomes part of the names.
  const table = ts.isCallExpression(call.expression) ? literalsIn(call.expression) : [];
  return [text, ...table].join(' ');
}

/** `it`, `it.only`, `it.each(table)` and the like; a test that is skipped proves nothing. */
function isTestFunction(expression: ts.Expression): boolean {
  if (ts.isIdentifier(expression)) return expression.text === 'it' || expression.text === 'test';
  if (ts.isPropertyAccessExpression(expression)) {
    return !['skip', 'todo', 'fails'].includes(expression.name.text) && isTestFunction(expression.expression);
  }
  return ts.isCallExpression(expression) && isTestFunction(expression.expression);
}

function literalsIn(node: ts.Node): readonly string[] {
  const texts: string[] = [];
  const visit = (child: ts.Node): void => {
    if (ts.isStringLiteralLike(child)) texts.push(child.text);
    ts.forEachChild(child, visit);
  };
  visit(node);
  return texts;
}
