import { createRequire } from 'node:module';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';

import { cruise, type ICruiseResult, type IConfiguration } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';

/**
 * Fewest modules that the check must see in `src`. A compiler that dependency-cruiser cannot use makes it parse nothing and
 * find no violation: the check must not be green for that reason.
 */
export const minimumModules = 50;

/** An import that an architecture rule forbids, or a look at the clock past its port. */
export interface LayerViolation {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
  readonly comment: string;
}

/** What a check of the layers came to. */
export interface LayerReport {
  /** Files of `src` that were seen. */
  readonly moduleCount: number;
  readonly violations: readonly LayerViolation[];
}

const repository = resolve(import.meta.dirname, '..');
const rules = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as IConfiguration;

/** Holds the imports of `<folder>/src` against the rules of `.dependency-cruiser.cjs`. */
export async function checkLayers(folder = repository): Promise<LayerReport> {
  const { output } = await cruise(
    ['src'],
    { ...rules.options, baseDir: folder, ruleSet: { forbidden: rules.forbidden ?? [] }, validate: true },
    undefined,
    { tsConfig: extractTSConfig(join(repository, 'tsconfig.json')) },
  );
  const { modules, summary } = output as ICruiseResult;
  const comments = new Map((rules.forbidden ?? []).map((rule) => [rule.name, rule.comment ?? '']));
  const imports = summary.violations.map(({ rule, from, to }) => ({
    rule: rule.name,
    from,
    to,
    comment: comments.get(rule.name) ?? '',
  }));
  return {
    moduleCount: modules.filter((module) => module.source.startsWith('src/')).length,
    violations: [...imports, ...(await findClockReads(folder))],
  };
}

// The linter forbids `Date.now`; of `new Date()` it has no rule.
async function findClockReads(folder: string): Promise<readonly LayerViolation[]> {
  const source = join(folder, 'src');
  const names = (await readdir(source, { recursive: true })).filter((name) => name.endsWith('.ts'));
  const found = await Promise.all(
    names.map(async (name): Promise<readonly LayerViolation[]> => {
      const from = relative(folder, join(source, name));
      if (from.startsWith('src/platform/')) return [];
      const text = await readFile(join(source, name), 'utf8');
      if (!/\bnew Date\(\s*\)/.test(text)) return [];
      return [{ rule: 'time-by-port', from, to: 'new Date()', comment: 'time comes through the Clock port' }];
    }),
  );
  return found.flat();
}

/** A report as lines for people. */
export function formatLayerReport(report: LayerReport): string {
  const lines = report.violations.map(({ rule, from, to, comment }) => `${from} → ${to}  (${rule}: ${comment})`);
  if (report.moduleCount <= minimumModules) {
    lines.push(`only ${report.moduleCount} modules were seen, not over ${minimumModules}: the check is blind`);
  }
  return [...lines, `layers: ${report.moduleCount} modules, ${report.violations.length} violations`].join('\n');
}

/** Whether a report lets the lint stage pass. */
export function isClean(report: LayerReport): boolean {
  return report.violations.length === 0 && report.moduleCount > minimumModules;
}
