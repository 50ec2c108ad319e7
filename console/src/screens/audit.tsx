import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useEffect, useState } from 'preact/hooks';
import { asApiError, get, pathWith, type ApiError } from '../api/http.ts';
import type { AdminAuditEntry, JsonValue } from '../api/types.ts';
import { useLive } from '../live.ts';
import { auditTopic } from '../live/topics.ts';
import { ErrorBox } from '../parts/error-box.tsx';
import { JsonView } from '../parts/json-view.tsx';
import { Empty, Loaded, Screen } from '../parts/screen.tsx';
import { Instant } from '../parts/time.tsx';
import { may } from '../session.ts';

const everyMs = 3_000;
const ticketAction = 'session.ticket';
const pageSize = 200;
const outcomes = ['allowed', 'refused', 'done', 'failed'] as const;

interface Page {
  readonly entries: readonly AdminAuditEntry[];
  readonly next: string | null;
}

/** What was asked of the engine, by whom, allowed or refused. */
export function AuditScreen(): JSX.Element {
  if (!may('admin')) {
    return (
      <Screen title="Audit">
        <Empty>The audit log is for admins.</Empty>
      </Screen>
    );
  }
  return <AuditLog />;
}

function AuditLog(): JSX.Element {
  const { query, route } = useLocation();
  const filter = {
    principal: query['principal'],
    action: query['action'],
    target: query['target'],
    outcome: outcomes.find((one) => one === query['outcome']),
  };
  const key = `audit ${JSON.stringify(filter)}`;
  const [further, setFurther] = useState<{ readonly key: string; readonly pages: readonly Page[] } | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [showsTickets, setShowsTickets] = useState(false);
  const isHeld = further?.key === key;
  const live = useLive({
    key,
    everyMs,
    load: (signal) => get<Page>('/api/audit', { ...filter, limit: pageSize }, signal),
    isPaused: isHeld,
    topic: auditTopic,
  });
  useEffect(() => setFurther(null), [key]);
  const pages = live.data === null ? [] : [live.data, ...(isHeld ? further.pages : [])];
  const next = pages.at(-1)?.next ?? null;
  const more = (): void => {
    if (next === null) return;
    setError(null);
    get<Page>('/api/audit', { ...filter, limit: pageSize, cursor: next })
      .then((page) => setFurther({ key, pages: [...(isHeld ? further.pages : []), page] }))
      .catch((thrown: unknown) => setError(asApiError(thrown)));
  };
  const all = pages.flatMap((page) => page.entries);
  // Every page that opens its socket has a ticket: what was done would stand between them.
  const hides = !showsTickets && filter.action === undefined;
  const entries = hides ? all.filter(({ action }) => action !== ticketAction) : all;
  return (
    <Screen title="Audit">
      <search class="filter">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const form = new FormData(event.currentTarget);
            const value = (name: string): string | undefined => {
              const text = form.get(name);
              return typeof text === 'string' && text.trim() !== '' ? text.trim() : undefined;
            };
            route(
              pathWith('/audit', {
                principal: value('principal'),
                action: value('action'),
                target: value('target'),
                outcome: value('outcome'),
              }),
              true,
            );
          }}
        >
          {(['principal', 'action', 'target'] as const).map((name) => (
            <label key={name} class="grow">
              <span class="hidden">{name}</span>
              <input
                type="search"
                name={name}
                defaultValue={filter[name] ?? ''}
                placeholder={name}
                spellcheck={false}
              />
            </label>
          ))}
          <label class="inline">
            <span class="hidden">Outcome</span>
            <select name="outcome" defaultValue={filter.outcome ?? ''}>
              <option value="">Every outcome</option>
              {outcomes.map((outcome) => (
                <option key={outcome} value={outcome} selected={filter.outcome === outcome}>
                  {outcome}
                </option>
              ))}
            </select>
          </label>
          <button type="submit">Filter</button>
        </form>
      </search>
      {hides && entries.length < all.length && (
        <p class="list-line">
          <span class="quiet">
            {all.length - entries.length} lines of sockets that were opened are left out{' '}
            <button type="button" class="plain" onClick={() => setShowsTickets(true)}>
              Show them
            </button>
          </span>
        </p>
      )}
      <Loaded live={live}>
        {() =>
          entries.length === 0 ? (
            <Empty>Nothing of the last 31 days matches.</Empty>
          ) : (
            <>
              <AuditTable entries={entries} />
              {error !== null && <ErrorBox error={error} onRetry={more} />}
              {next !== null && (
                <button type="button" onClick={more}>
                  Older
                </button>
              )}
            </>
          )
        }
      </Loaded>
    </Screen>
  );
}

function AuditTable({ entries }: { readonly entries: readonly AdminAuditEntry[] }): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Audit log">
      <table>
        <thead>
          <tr>
            <th scope="col">At</th>
            <th scope="col">Who</th>
            <th scope="col">Action</th>
            <th scope="col">Target</th>
            <th scope="col">Outcome</th>
            <th scope="col">Reason</th>
            <th scope="col">Details</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={`${entry.requestId} ${entry.outcome}`}>
              <td>
                <Instant at={entry.at} />
              </td>
              <td class="clip">
                {entry.principal ?? <span class="quiet">nobody</span>} <span class="quiet">{entry.role}</span>
              </td>
              <td>
                <code>{entry.action}</code>
              </td>
              <td class="clip" title={entry.target ?? ''}>
                {entry.target ?? '–'}
              </td>
              <td>
                <span class={`state outcome-${entry.outcome}`}>{entry.outcome}</span>{' '}
                {entry.code !== null && <code>{entry.code}</code>}
              </td>
              <td class="wide">{entry.reason}</td>
              <td>
                <details class="alternative">
                  <summary aria-label={`Details of request ${entry.requestId}`}>Details</summary>
                  <JsonView value={entry as unknown as JsonValue} label={`Request ${entry.requestId}`} />
                </details>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
