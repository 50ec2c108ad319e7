/* eslint-disable no-extend-native -- that is the harm */

/** What a driver does to the objects that all code of its process shares, by name. Nothing of it can be undone. */
export const corruptions = {
  /** A member that every loop over an object's keys meets. */
  'object-member': () => {
    Object.defineProperty(Object.prototype, 'polluted', { value: 'by a driver', enumerable: true });
    return {};
  },
  /** Every object has a word on how it is written. */
  'object-to-json': () => {
    Object.defineProperty(Object.prototype, 'toJSON', { value: () => 'nonsense', configurable: true });
    return {};
  },
  'array-map': () => {
    Array.prototype.map = () => [];
    return {};
  },
  'array-iterator': () => {
    const none = [][Symbol.iterator]();
    Array.prototype[Symbol.iterator] = () => none;
    return {};
  },
  'json-parse': () => {
    JSON.parse = () => ({});
    return {};
  },
  'json-stringify': () => {
    JSON.stringify = () => '{}';
    return {};
  },
  'map-get': () => {
    Map.prototype.get = () => undefined;
    return {};
  },
  'promise-then': () => {
    // oxlint-disable-next-line unicorn/no-thenable -- that is the harm
    Promise.prototype.then = () => new Promise(() => undefined);
    return {};
  },
  timers: () => {
    globalThis.setTimeout = (() => ({})) as unknown as typeof setTimeout;
    return {};
  },
  'clock-back': () => {
    Date.now = () => 0;
    performance.now = () => 0;
    return {};
  },
} as const satisfies Readonly<Record<string, () => unknown>>;

/** A kind of corruption. */
export type CorruptionKind = keyof typeof corruptions;
