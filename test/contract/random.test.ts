import { SeededRandom } from '../../src/platform/seeded-random.ts';
import { SystemRandom } from '../../src/platform/system-random.ts';
import { describeRandom } from './random.contract.ts';

describeRandom('SystemRandom', () => new SystemRandom());
describeRandom('SeededRandom', () => new SeededRandom(8_123));
