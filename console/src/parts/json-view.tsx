import type { JSX } from 'preact';
import type { JsonValue } from '../api/types.ts';

const longest = 20_000;

/** JSON as indented text, never as markup. */
export function JsonView({ value, label }: { readonly value: JsonValue; readonly label: string }): JSX.Element {
  const text = JSON.stringify(value, null, 2);
  return (
    <pre class="json" tabIndex={0} role="region" aria-label={label}>
      {text.length > longest ? `${text.slice(0, longest)}\n… ${text.length - longest} characters more` : text}
    </pre>
  );
}
