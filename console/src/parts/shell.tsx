import type { JSX } from 'preact';
import { lastLoadedAt, staleness } from '../live.ts';
import { isUtc, theme, type Theme } from '../preferences.ts';
import { logOut, who } from '../session.ts';
import { announcement } from './action-dialog.tsx';
import { Icon, type IconName } from './icons.tsx';
import { Instant } from './time.tsx';

const places: readonly { readonly path: string; readonly label: string; readonly icon: IconName }[] = [
  { path: '/', label: 'Overview', icon: 'overview' },
  { path: '/tasks', label: 'Tasks', icon: 'tasks' },
  { path: '/pipelines', label: 'Pipelines', icon: 'pipelines' },
  { path: '/dead-letters', label: 'Dead letters', icon: 'deadLetters' },
  { path: '/bulk', label: 'Bulk actions', icon: 'bulk' },
  { path: '/cluster', label: 'Cluster', icon: 'cluster' },
  { path: '/audit', label: 'Audit', icon: 'audit' },
];

const themes: readonly Theme[] = ['system', 'light', 'dark'];

/** The head of the page: its name, how fresh the data is, who is logged in, and how it looks. */
export function ShellHead(): JSX.Element {
  const { value: person } = who;
  return (
    <header class="head">
      <a class="brand" href="/">
        Cabinet
      </a>
      <Freshness />
      <p class="announcement" role="status" aria-live="polite">
        {announcement.value}
      </p>
      <button
        type="button"
        class="plain"
        aria-pressed={isUtc.value}
        title="Show times in UTC, or in the zone of this computer"
        onClick={() => (isUtc.value = !isUtc.value)}
      >
        {isUtc.value ? 'UTC' : 'Local time'}
      </button>
      <label class="inline">
        <span class="hidden">Theme</span>
        <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}>
          {themes.map((name) => (
            <option key={name} value={name}>
              {name === 'system' ? 'As the system' : name === 'light' ? 'Light' : 'Dark'}
            </option>
          ))}
        </select>
      </label>
      <span class="person">
        {person?.name} <span class="quiet">{person?.role}</span>
      </span>
      <button type="button" class="plain" onClick={() => void logOut().catch(() => (who.value = null))}>
        Log out
      </button>
    </header>
  );
}

/** Whether what is shown is fresh; if not, since when. */
function Freshness(): JSX.Element {
  const times = [...staleness.value.values()];
  if (times.length === 0) {
    return (
      <span class="fresh" title="The page asks the server again and again">
        {lastLoadedAt.value === null ? 'loading' : 'live'}
      </span>
    );
  }
  return (
    <span class="fresh is-stale" role="status">
      <Icon name="warning" /> stale since <Instant at={Math.min(...times)} />
    </span>
  );
}

/** The screens. */
export function ShellNav({ path }: { readonly path: string }): JSX.Element {
  return (
    <nav class="nav" aria-label="Screens">
      <ul>
        {places.map((place) => {
          const isHere = place.path === '/' ? path === '/' || path === '/login' : path.startsWith(place.path);
          return (
            <li key={place.path}>
              <a href={place.path} aria-current={isHere ? 'page' : undefined}>
                <Icon name={place.icon} />
                <span>{place.label}</span>
              </a>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}
