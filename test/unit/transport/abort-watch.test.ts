import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { AbortWatch } from '../../../src/transport/abort-watch.ts';

describe('an abort watch', () => {
  it('has one listener on a signal, however many wait on it, and none when nobody does', () => {
    const watch = new AbortWatch();
    const { signal } = new AbortController();
    const forget = Array.from({ length: 100 }, () => watch.add(signal, () => {}));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (const each of forget) each();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('calls everyone who still waits, once', () => {
    const watch = new AbortWatch();
    const controller = new AbortController();
    const called: string[] = [];
    watch.add(controller.signal, () => called.push('a'));
    watch.add(controller.signal, () => called.push('b'))();
    watch.add(controller.signal, () => called.push('c'));
    controller.abort();
    expect(called).toEqual(['a', 'c']);
  });

  it('keeps two signals apart', () => {
    const watch = new AbortWatch();
    const [one, other] = [new AbortController(), new AbortController()];
    const called: string[] = [];
    watch.add(one.signal, () => called.push('one'));
    watch.add(other.signal, () => called.push('other'));
    other.abort();
    expect(called).toEqual(['other']);
  });

  it('lets a callback forget another while the signal aborts', () => {
    const watch = new AbortWatch();
    const controller = new AbortController();
    const called: string[] = [];
    let forgetSecond = (): void => {};
    watch.add(controller.signal, () => {
      called.push('first');
      forgetSecond();
    });
    forgetSecond = watch.add(controller.signal, () => called.push('second'));
    controller.abort();
    expect(called).toEqual(['first']);
  });
});
