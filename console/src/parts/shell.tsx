import type { JSX } from 'preact';
import type { Role } from '../api/types.ts';
import { liveLink } from '../live/live-link.ts';
import { lastLoadedAt, staleness } from '../live/staleness.ts';
import { isUtc, theme, type Theme } from '../preferences.ts';
import { logOut, may, who } from '../session.ts';
import { announcement } from './action-dialog.tsx';
import { Icon, type IconName } from './icons.tsx';
import { Instant } from './time.tsx';

interface Place {
  readonly path: string;
  readonly label: string;
  readonly icon: IconName;
  /** Who has it in the list; anybody when it is left out. */
  readonly role?: Role;
}

const places: readonly Place[] = [
  { path: '/', label: 'Overview', icon: 'overview' },
  { path: '/tasks', label: 'Tasks', icon: 'tasks' },
  { path: '/pipelines', label: 'Pipelines', icon: 'pipelines' },
  { path: '/dead-letters', label: 'Dead letters', icon: 'deadLetters' },
  { path: '/bulk', label: 'Bulk actions', icon: 'bulk' },
  { path: '/cluster', label: 'Cluster', icon: 'cluster' },
  { path: '/audit', label: 'Audit', icon: 'audit' },
  { path: '/tokens', label: 'Tokens', icon: 'tokens', role: 'admin' },
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
  const status = liveLink.status.value;
  if (times.length === 0) {
    if (status === 'reconnecting') {
      return (
        <span class="fresh is-stale" role="status" title="The connection broke; it is opened again">
          <Icon name="warning" /> reconnecting since <Instant at={liveLink.brokenSince.value} />
        </span>
      );
    }
    if (status === 'polling') {
      return (
        <span
          class="fresh is-polling"
          role="status"
          title="The live socket cannot be opened; the page asks the server again and again, and keeps trying"
        >
          polling: no live socket
        </span>
      );
    }
    return (
      <span class="fresh" title={status === 'live' ? 'The server tells of every change' : 'The connection is opened'}>
        {lastLoadedAt.value === null || status !== 'live' ? 'loading' : 'live'}
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
  const allowed = places.filter(({ role }) => role === undefined || may(role));
  return (
    <nav class="nav" aria-label="Screens">
      <ul>
        {allowed.map((place) => {
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
