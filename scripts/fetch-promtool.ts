// Finds promtool, fetching it once if need be, and prints its path: `PROMTOOL_BIN=$(tsx scripts/fetch-promtool.ts)`.
import { findPromtool } from './promtool.ts';

const finding = await findPromtool();
if (finding.kind === 'found') {
  process.stderr.write(`promtool ${finding.version} by ${finding.foundBy}\n`);
  process.stdout.write(`${finding.path}\n`);
} else {
  process.stderr.write(`no promtool: ${finding.reason}\n`);
  process.exitCode = 1;
}
