import type { ComponentChildren, JSX } from 'preact';
import type { Live } from '../live.ts';
import { ErrorBox } from './error-box.tsx';
import { Instant } from './time.tsx';

/** A screen: its heading, which gets the focus when the screen opens, its actions and its content. */
export function Screen({
  title,
  heading,
  actions,
  children,
}: {
  /** Of the browser's tab. */
  readonly title: string;
  readonly heading?: ComponentChildren;
  readonly actions?: ComponentChildren;
  readonly children?: ComponentChildren;
}): JSX.Element {
  document.title = `${title} · Cabinet`;
  return (
    <>
      <div class="screen-head">
        <h1 tabIndex={-1}>{heading ?? title}</h1>
        {actions !== undefined && <div class="actions">{actions}</div>}
      </div>
      {children}
    </>
  );
}

/** A part of a screen with a heading. */
export function Panel({
  title,
  aside,
  children,
  class: className = '',
}: {
  readonly title: string;
  readonly aside?: ComponentChildren;
  readonly children?: ComponentChildren;
  readonly class?: string;
}): JSX.Element {
  return (
    <section class={`panel ${className}`} aria-label={title}>
      <div class="panel-head">
        <h2>{title}</h2>
        {aside !== undefined && <div class="panel-aside">{aside}</div>}
      </div>
      {children}
    </section>
  );
}

/** What stands in the place of data: its error, that it is on its way, or that it is old. The data itself otherwise. */
export function Loaded<Data>({
  live,
  children,
}: {
  readonly live: Live<Data> & { readonly refresh: () => void };
  readonly children: (data: Data) => ComponentChildren;
}): JSX.Element {
  const { data, error, staleSince } = live;
  if (data === null) {
    if (error !== null) return <ErrorBox error={error} onRetry={live.refresh} />;
    return (
      <p class="quiet loading" role="status">
        Loading…
      </p>
    );
  }
  return (
    <>
      {error !== null && <ErrorBox error={error} onRetry={live.refresh} />}
      {error !== null && staleSince !== null && (
        <p class="stale">
          Shown as it was at <Instant at={staleSince} />
        </p>
      )}
      {children(data)}
    </>
  );
}

/** That there is nothing, and what would be here. */
export function Empty({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}
