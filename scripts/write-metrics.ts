// Writes docs/METRICS.md.
import { writeFile } from 'node:fs/promises';

import { formatMetricsPage, metricsPageFile } from './metrics-page.ts';

await writeFile(metricsPageFile, await formatMetricsPage());
