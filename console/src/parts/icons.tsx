import type { JSX } from 'preact';

/** Shapes of the icons, on a grid of 16, as paths that are drawn in lines. */
const paths = {
  overview: 'M2 13h12M3.5 10.5l3-4 3 2.5 3.5-5.5',
  tasks: 'M2.5 4h11M2.5 8h11M2.5 12h7',
  pipelines: 'M2 5h4v6H2zM10 5h4v6h-4zM6 8h4',
  deadLetters: 'M2.5 4h11v8.5h-11zM2.5 4.5L8 9l5.5-4.5',
  bulk: 'M3 3h7v7H3zM6 6h7v7H6z',
  cluster: 'M8 2.5v4M3.5 13v-3h9v3M8 6.5V10M6.5 2.5h3M2 13h3M11 13h3',
  audit: 'M4 2.5h8v11H4zM6 5.5h4M6 8h4M6 10.5h2',
  tokens: 'M9.5 6.5a3 3 0 1 0-1.8 2.8L9 10.5h1.5V12H12v1.5h2v-2L9.4 7z',
  waiting: 'M4 8h.2M8 8h.2M12 8h.2',
  skipped: 'M3.5 4l4.5 4-4.5 4M9 4l4 4-4 4',
  failed: 'M4 4l8 8M12 4l-8 8',
  queued: 'M8 2.5a5.5 5.5 0 1 0 .01 0M8 5v3.2l2 1.3',
  running: 'M5.5 3.5l6.5 4.5-6.5 4.5z',
  backingOff: 'M12.5 5.5A5 5 0 1 0 13 9M12.8 2.5v3.2H9.6',
  held: 'M5.5 3.5v9M10.5 3.5v9',
  unknown: 'M5.7 6a2.4 2.4 0 1 1 3.6 2c-.9.5-1.3.9-1.3 1.9M8 12.2v.3',
  completed: 'M3.5 8.5l3 3 6-6.5',
  canceled: 'M8 2.5a5.5 5.5 0 1 0 .01 0M4.3 4.3l7.4 7.4',
  deadLettered: 'M4 4l8 8M12 4l-8 8',
  copy: 'M6 5.5V3h7v8h-2.5M3 5.5h7.5V13H3z',
  external: 'M9 3h4v4M13 3L7.5 8.5M11 9.5V13H3V5h3.5',
  warning: 'M8 2.5l6 11H2zM8 6.5v3M8 11.6v.2',
} as const;

/** A name of an icon. */
export type IconName = keyof typeof paths;

/** A small picture beside a text that says the same. */
export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

/** Whether there is an icon of that name. */
export function isIconName(name: string): name is IconName {
  return Object.hasOwn(paths, name);
}
