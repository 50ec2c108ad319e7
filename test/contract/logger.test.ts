import { MemoryLogger } from '../../src/platform/memory-logger.ts';
import { PinoLogger } from '../../src/platform/pino-logger.ts';
import { describeLogger, type ReadLine } from './logger.contract.ts';

const levelNames: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' };

describeLogger('PinoLogger', () => {
  const written: string[] = [];
  const logger = new PinoLogger({
    level: 'debug',
    format: 'json',
    destination: { write: (line: string) => void written.push(line) },
  });
  const read = (): readonly ReadLine[] =>
    written.map((line) => {
      const { level, msg, ...fields } = JSON.parse(line) as { level: number; msg: string };
      return { level: levelNames[level] ?? '', message: msg, fields };
    });
  return { logger, read };
});

describeLogger('MemoryLogger', () => {
  const logger = new MemoryLogger();
  return { logger, read: () => logger.lines };
});
