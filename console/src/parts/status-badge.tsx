import type { JSX } from 'preact';
import { statusNames } from '../model/task-words.ts';
import { Icon, isIconName } from './icons.tsx';

/** A status by word, color and shape: none of them alone carries it. */
export function StatusBadge({ status }: { readonly status: string }): JSX.Element {
  const label = Object.hasOwn(statusNames, status) ? statusNames[status as keyof typeof statusNames] : status;
  return (
    <span class={`status status-${status}`}>
      {isIconName(status) && <Icon name={status} />}
      <span>{label}</span>
    </span>
  );
}
