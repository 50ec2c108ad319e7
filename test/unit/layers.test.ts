import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { checkLayers, formatLayerReport, isClean, minimumModules } from '../../scripts/layers.ts';

const timeoutMs = 60_000;

describe('the layers', () => {
  it('are kept by every import in src, over more than fifty modules', { timeout: timeoutMs }, async () => {
    const report = await checkLayers();
    expect(formatLayerReport(report)).toContain(' 0 violations');
    expect(report.moduleCount).toBeGreaterThan(minimumModules);
    expect(isClean(report)).toBe(true);
  });

  it('find each import that was planted against them', { timeout: timeoutMs }, async () => {
    const folder = fileURLToPath(new URL('../fixtures/layers', import.meta.url));
    const { violations } = await checkLayers(folder);
    const found = violations.map(({ rule, from, to }) => `${rule}: ${from} → ${to}`);
    expect(found).toContain('core-imports: src/core/words.ts → src/actors/actor.ts');
    expect(found).toContain('actors-imports: src/actors/actor.ts → src/store/store.ts');
    expect(found).toContain('transport-imports: src/transport/connection.ts → src/store/store.ts');
    expect(found).toContain('known-layers: src/gadgets/gadget.ts → src/core/words.ts');
    expect(found).toContain('time-by-port: src/actors/actor.ts → new Date()');
    expect(found.filter((line) => line.startsWith('no-cycles: '))).not.toEqual([]);
    expect(found.filter((line) => line.startsWith('no-development-packages: src/actors/actor.ts'))).not.toEqual([]);
    expect(found.filter((line) => line.includes('src/main.ts') || line.includes('src/platform/'))).toEqual([]);
  });

  it('fail when the check has seen too few modules to mean anything', () => {
    const blind = { moduleCount: minimumModules, violations: [] };
    expect(isClean(blind)).toBe(false);
    expect(formatLayerReport(blind)).toContain('the check is blind');
  });
});
