import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Icon } from './icons.tsx';

/** A text in a box that can be copied by one press. */
export function CopyText({ text, label }: { readonly text: string; readonly label: string }): JSX.Element {
  const [said, setSaid] = useState('');
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => setSaid('Copied'),
      () => setSaid('Not copied: select the text'),
    );
  };
  return (
    <div class="copy">
      <code tabIndex={0} aria-label={label}>
        {text}
      </code>
      <button type="button" class="plain" onClick={copy} aria-label={`Copy: ${label}`}>
        <Icon name="copy" />
      </button>
      <span class="quiet" role="status">
        {said}
      </span>
    </div>
  );
}
