import type { JSX } from 'preact';
import { LocationProvider, Router, Route, useLocation } from 'preact-iso';
import { useEffect, useRef, useState } from 'preact/hooks';
import { asApiError, type ApiError } from './api/http.ts';
import { ActionDialogHost } from './parts/action-dialog.tsx';
import { ErrorBox } from './parts/error-box.tsx';
import { ShellHead, ShellNav } from './parts/shell.tsx';
import { Screen } from './parts/screen.tsx';
import { readSession, who } from './session.ts';
import { AuditScreen } from './screens/audit.tsx';
import { BulkScreen, BulkRunScreen } from './screens/bulk.tsx';
import { ClusterScreen } from './screens/cluster.tsx';
import { DeadLettersScreen } from './screens/dead-letters.tsx';
import { LoginScreen } from './screens/login.tsx';
import { OverviewScreen } from './screens/overview.tsx';
import { PipelineScreen, PipelinesScreen } from './screens/pipelines.tsx';
import { TaskScreen } from './screens/task.tsx';
import { TasksScreen } from './screens/tasks.tsx';
import { TokensScreen } from './screens/tokens.tsx';

/** The page: a login, or the screens with their frame. */
export function App(): JSX.Element {
  const [error, setError] = useState<ApiError | null>(null);
  const read = (): void => {
    setError(null);
    readSession().catch((thrown: unknown) => setError(asApiError(thrown)));
  };
  useEffect(read, []);
  if (who.value === undefined) {
    return (
      <main class="login" id="main">
        {error === null ? <p class="quiet">Loading…</p> : <ErrorBox error={error} onRetry={read} />}
      </main>
    );
  }
  if (who.value === null) return <LoginScreen />;
  return (
    <LocationProvider>
      <Frame />
    </LocationProvider>
  );
}

function Frame(): JSX.Element {
  const { path } = useLocation();
  const isFirst = useRef(true);
  useEffect(() => {
    // The first screen opens as any page does; the next ones tell that they have opened.
    if (isFirst.current) isFirst.current = false;
    else document.querySelector<HTMLElement>('main h1')?.focus();
    window.scrollTo(0, 0);
  }, [path]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.querySelector<HTMLElement>('main h1')?.focus();
        }}
      >
        Skip to the content
      </a>
      <ShellHead />
      <div class="frame">
        <ShellNav path={path} />
        <main id="main">
          <Router>
            <Route path="/" component={OverviewScreen} />
            <Route path="/login" component={OverviewScreen} />
            <Route path="/tasks" component={TasksScreen} />
            <Route path="/tasks/:taskId" component={TaskScreen} />
            <Route path="/pipelines" component={PipelinesScreen} />
            <Route path="/pipelines/:pipeline" component={PipelineScreen} />
            <Route path="/dead-letters" component={DeadLettersScreen} />
            <Route path="/bulk" component={BulkScreen} />
            <Route path="/bulk/:bulkId" component={BulkRunScreen} />
            <Route path="/cluster" component={ClusterScreen} />
            <Route path="/audit" component={AuditScreen} />
            <Route path="/tokens" component={TokensScreen} />
            <Route default component={NothingScreen} />
          </Router>
        </main>
      </div>
      <ActionDialogHost />
    </>
  );
}

function NothingScreen(): JSX.Element {
  return (
    <Screen title="Nothing here">
      <p>
        There is no such screen. <a href="/">Overview</a>
      </p>
    </Screen>
  );
}
