// Writes docs/ERRORS.md.
import { writeFile } from 'node:fs/promises';

import { errorsPageFile, formatErrorsPage } from './errors-page.ts';

await writeFile(errorsPageFile, await formatErrorsPage());
