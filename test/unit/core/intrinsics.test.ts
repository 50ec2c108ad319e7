import { afterEach, describe, expect, it } from 'vitest';

import { watchIntrinsics } from '../../../src/core/intrinsics.ts';

describe('watching the built-in functions', () => {
  const undo: (() => void)[] = [];
  afterEach(() => {
    for (const one of undo.splice(0)) one();
  });

  function change(holder: object, key: PropertyKey, descriptor: PropertyDescriptor): void {
    const before = Object.getOwnPropertyDescriptor(holder, key);
    undo.push(() => {
      if (before === undefined) Reflect.deleteProperty(holder, key);
      else Object.defineProperty(holder, key, before);
    });
    Object.defineProperty(holder, key, { configurable: true, ...descriptor });
  }

  it('finds nothing where nothing was changed', () => {
    expect(watchIntrinsics()()).toBeNull();
  });

  it.each([
    ['JSON.stringify', JSON, 'stringify'],
    ['JSON.parse', JSON, 'parse'],
    ['Array.prototype.map', Array.prototype, 'map'],
    ['Map.prototype.get', Map.prototype, 'get'],
    ['Promise.prototype.then', Promise.prototype, 'then'],
    ['Object.keys', Object, 'keys'],
  ] as const)('tells that %s was replaced', (name, holder, key) => {
    const check = watchIntrinsics();
    const original = Reflect.get(holder, key) as (...given: unknown[]) => unknown;
    change(holder, key, {
      value: function replaced(this: unknown, ...given: unknown[]): unknown {
        return Reflect.apply(original, this, given);
      },
      writable: true,
    });
    const found = check();
    for (const one of undo.splice(0)) one();
    expect(found).toBe(name);
  });

  it.each([
    ['a toJSON of every object', 'toJSON', { value: () => 'nonsense' }, 'Object.prototype.toJSON'],
    ['a member of every loop', 'polluted', { value: 1, enumerable: true }, 'Object.prototype'],
  ] as const)('tells of %s', (_what, key, descriptor, name) => {
    const check = watchIntrinsics();
    change(Object.prototype, key, descriptor);
    const found = check();
    for (const one of undo.splice(0)) one();
    expect(found).toBe(name);
  });

  it('tells of a member that must not be read', () => {
    const check = watchIntrinsics();
    change(Array.prototype, 'at', {
      get: () => {
        throw new Error('nobody may look');
      },
    });
    const found = check();
    for (const one of undo.splice(0)) one();
    expect(found).toBe('a member that cannot be read');
  });

  it('takes what was changed before for given, as polyfills and tracers do it, and lets new functions be', () => {
    change(Array.prototype, 'includes', { value: () => true, writable: true });
    const check = watchIntrinsics();
    change(Array.prototype, 'ofTomorrow', { value: () => 1, writable: true });
    const found = check();
    for (const one of undo.splice(0)) one();
    expect(found).toBeNull();
  });
});
