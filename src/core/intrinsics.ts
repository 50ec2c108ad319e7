/** What the engine decides and writes by, and what all code of its process shares, by holder. */
const watched: readonly (readonly [name: string, holder: object, keys: string])[] = [
  ['JSON', JSON, 'parse stringify'],
  ['Object', Object, 'keys entries values assign freeze isFrozen fromEntries getPrototypeOf hasOwn'],
  ['Object.prototype', Object.prototype, 'toJSON hasOwnProperty toString valueOf constructor'],
  ['Array', Array, 'from isArray of'],
  ['Array.prototype', Array.prototype, 'at concat every filter find findIndex flat flatMap forEach includes indexOf'],
  ['Array.prototype', Array.prototype, 'join keys entries map pop push reduce reverse shift slice some sort splice'],
  ['Array.prototype', Array.prototype, 'toSorted toReversed unshift values toJSON'],
  ['Map.prototype', Map.prototype, 'clear delete entries get has keys set values'],
  ['Set.prototype', Set.prototype, 'add clear delete has values'],
  ['Promise', Promise, 'all allSettled race reject resolve'],
  ['Promise.prototype', Promise.prototype, 'then catch finally'],
  ['Function.prototype', Function.prototype, 'apply bind call'],
  ['String.prototype', String.prototype, 'charCodeAt endsWith includes indexOf isWellFormed slice split startsWith'],
  ['RegExp.prototype', RegExp.prototype, 'exec test'],
  ['Number', Number, 'isFinite isInteger isSafeInteger'],
  ['Math', Math, 'abs ceil floor max min round'],
  ['Buffer', Buffer, 'alloc byteLength concat from'],
];
const iterables = { Array: Array.prototype, Map: Map.prototype, Set: Set.prototype } as const;

/**
 * Notes how the built-in functions are that the engine uses, and gives a check that tells the first one that has been changed
 * since, or null. What was changed before, as polyfills and tracers do when they are loaded, is no change.
 *
 * The check takes a few microseconds, allocates nothing, and calls nothing of what it looks at.
 */
export function watchIntrinsics(): () => string | null {
  const names: string[] = [];
  const places: { readonly holder: object; readonly key: PropertyKey }[] = [];
  const originals: unknown[] = [];
  const watch = (name: string, holder: object, key: PropertyKey): void => {
    names.push(`${name}.${String(key)}`);
    places.push({ holder, key });
    originals.push(Reflect.get(holder, key));
  };
  for (const [name, holder, keys] of watched) for (const key of keys.split(' ')) watch(name, holder, key);
  for (const [name, holder] of Object.entries(iterables)) watch(`${name}.prototype`, holder, Symbol.iterator);
  const { length } = places;
  const inherited = countInherited();
  return () => {
    try {
      for (let index = 0; index < length; index += 1) {
        const { holder, key } = places[index] as (typeof places)[number];
        if ((holder as Record<PropertyKey, unknown>)[key] !== originals[index]) return names[index] ?? '';
      }
      return countInherited() === inherited ? null : 'Object.prototype';
    } catch {
      return 'a member that cannot be read';
    }
  };
}

/** Members that every loop over an array's or an object's keys meets. */
function countInherited(): number {
  let count = 0;
  // oxlint-disable-next-line typescript/no-for-in-array -- what is inherited is just what is looked for
  for (const name in []) if (name !== '') count += 1;
  return count;
}
