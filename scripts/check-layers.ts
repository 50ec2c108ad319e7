// Fails when an import in src goes against the architecture's arrows.
import { checkLayers, formatLayerReport, isClean } from './layers.ts';

const report = await checkLayers();
process.stdout.write(`${formatLayerReport(report)}\n`);
if (!isClean(report)) process.exitCode = 1;
