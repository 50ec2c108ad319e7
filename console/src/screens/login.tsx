import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { asApiError, type ApiError } from '../api/http.ts';
import { ErrorBox } from '../parts/error-box.tsx';
import { logIn } from '../session.ts';

/** Trades an access token for a session. */
export function LoginScreen(): JSX.Element {
  const [token, setToken] = useState('');
  const [error, setError] = useState<ApiError | null>(null);
  const [isRunning, setIsRunning] = useState(false);
  document.title = 'Log in · Cabinet';
  const run = async (): Promise<void> => {
    setIsRunning(true);
    setError(null);
    try {
      await logIn(token.trim());
    } catch (thrown) {
      setError(asApiError(thrown));
      setIsRunning(false);
    }
  };
  return (
    <main class="login" id="main">
      <form
        class="panel"
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim() !== '' && !isRunning) void run();
        }}
      >
        <h1>Cabinet</h1>
        <input type="text" name="username" autocomplete="username" value="cabinet" readOnly hidden />
        <label class="field">
          <span>Access token</span>
          <input
            type="password"
            name="token"
            autocomplete="current-password"
            value={token}
            spellcheck={false}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <p class="quiet">
          The first start of the console prints a token once; an admin makes more. It stays in this tab's session alone.
        </p>
        {error !== null && <ErrorBox error={error} />}
        <button type="submit" class="primary" disabled={token.trim() === '' || isRunning}>
          {isRunning ? 'Working…' : 'Log in'}
        </button>
      </form>
    </main>
  );
}
