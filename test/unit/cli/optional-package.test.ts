import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { mcpPackage } from '../../../src/cli/mcp-command.ts';
import { loadOptional } from '../../../src/cli/optional-package.ts';
import { exitCodeOf, exitCodes } from '../../../src/cli/exit-codes.ts';
import type { EngineError } from '../../../src/core/errors.ts';

const missing = Object.assign(new Error("Cannot find package '@modelcontextprotocol/sdk' imported from x"), {
  code: 'ERR_MODULE_NOT_FOUND',
});

describe('an optional package', () => {
  it('CONFIG_INVALID: that is not installed is asked for in one sentence, exit 2', async () => {
    const error = await loadOptional(mcpPackage, () => Promise.reject(missing)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'CONFIG_INVALID',
      message: '`cabinet mcp` needs the package @modelcontextprotocol/sdk, which is not installed',
      hint: `npm install @modelcontextprotocol/sdk@${mcpPackage.version}`,
    });
    expect(exitCodeOf(error as EngineError)).toBe(exitCodes.usage);
  });

  it('that is broken, or that lacks something else, is no missing package', async () => {
    const other = Object.assign(new Error("Cannot find package 'zod'"), { code: 'ERR_MODULE_NOT_FOUND' });
    for (const thrown of [other, new SyntaxError('Unexpected token')]) {
      await expect(loadOptional(mcpPackage, () => Promise.reject(thrown))).rejects.toBe(thrown);
    }
  });

  it('is asked for in the version that the package names as its peer, and that it is tested with', async () => {
    const file = new URL('../../../package.json', import.meta.url);
    const manifest = JSON.parse(await readFile(file, 'utf8')) as Record<string, Record<string, unknown>>;
    const { name, version } = mcpPackage;
    expect(manifest['peerDependencies']?.[name]).toBe(version);
    expect(manifest['devDependencies']?.[name]).toBe(version);
    expect(manifest['peerDependenciesMeta']?.[name]).toEqual({ optional: true });
    expect(manifest['dependencies']).not.toHaveProperty([name]);
  });
});
