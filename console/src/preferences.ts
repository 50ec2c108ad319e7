import { effect, signal } from '@preact/signals';
import { store, stored } from './stored.ts';

/** How the page looks: as the system does, or as was chosen. */
export type Theme = 'system' | 'light' | 'dark';

const themeKey = 'cabinet.theme';
const zoneKey = 'cabinet.zone';

/** The theme that was chosen. */
export const theme = signal<Theme>(asTheme(stored(themeKey)));
/** Whether times are shown in UTC; else in the browser's zone. */
export const isUtc = signal(stored(zoneKey) === 'utc');

effect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.value;
  store(themeKey, theme.value);
});
effect(() => store(zoneKey, isUtc.value ? 'utc' : 'local'));

function asTheme(text: string | null): Theme {
  return text === 'light' || text === 'dark' ? text : 'system';
}
