import { SystemClock } from '../../src/platform/system-clock.ts';
import { VirtualClock } from '../../src/platform/virtual-clock.ts';
import { describeClock } from './clock.contract.ts';

describeClock('SystemClock', () => {
  const clock = new SystemClock();
  return {
    clock,
    pass: (ms) =>
      new Promise((resolve) => {
        setTimeout(resolve, ms + 2); // Node's own timer, not the one under test; it may wake a fraction early.
      }),
  };
});

describeClock('VirtualClock', () => {
  const clock = new VirtualClock();
  return { clock, pass: (ms) => clock.advance(ms) };
});
