export { checkJournal, type JournalReport } from '../../src/checking/journal-report.ts';
export { readWholeJournal } from '../../src/checking/whole-journal.ts';
