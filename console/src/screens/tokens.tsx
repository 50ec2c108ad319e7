import { signal, type Signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { get, post, remove } from '../api/http.ts';
import type { Role, TokenView } from '../api/types.ts';
import { useLive } from '../live.ts';
import { auditTopic } from '../live/topics.ts';
import { tokenCreateLine, tokenRevokeLine } from '../model/cli-command.ts';
import { ask } from '../parts/action-dialog.tsx';
import { CopyText } from '../parts/copy-text.tsx';
import { Empty, Loaded, Panel, Screen } from '../parts/screen.tsx';
import { Ago, Instant } from '../parts/time.tsx';
import { may, who } from '../session.ts';

const everyMs = 5_000;

/** A token that was just made; its text is to be had this once. */
type MadeToken = TokenView & { readonly token: string };

const roleTexts: Readonly<Record<Role, string>> = {
  viewer: 'looks at everything but the audit log and the tokens',
  operator: 'also starts tasks and gives them commands, one or many',
  admin: 'also gives orders to nodes and shards, reads the audit log and makes tokens',
};
const roles = Object.keys(roleTexts) as readonly Role[];

const dayMs = 86_400_000;
const lifetimes = [
  { label: '1 day', ms: dayMs },
  { label: '7 days', ms: 7 * dayMs },
  { label: '30 days', ms: 30 * dayMs },
  { label: '90 days', ms: 90 * dayMs },
  { label: '1 year', ms: 365 * dayMs },
  { label: 'Never', ms: null },
] as const;
const usualLifetime = 2;

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

/** Who may use the console and its API: list, make, revoke. */
export function TokensScreen(): JSX.Element {
  if (!may('admin')) {
    return (
      <Screen title="Tokens">
        <Empty>Tokens are for admins.</Empty>
      </Screen>
    );
  }
  return <Tokens />;
}

function Tokens(): JSX.Element {
  const [made, setMade] = useState<MadeToken | null>(null);
  const live = useLive({
    key: 'tokens',
    everyMs,
    load: (abort) => get<{ readonly tokens: readonly TokenView[] }>('/api/tokens', {}, abort),
    // Each of them is made and revoked before the eyes of the audit log.
    topic: auditTopic,
  });
  return (
    <Screen
      title="Tokens"
      actions={
        <button
          type="button"
          onClick={() =>
            askToken((token) => {
              setMade(token);
              live.refresh();
            })
          }
        >
          New token…
        </button>
      }
    >
      {made !== null && <Made token={made} onHide={() => setMade(null)} />}
      <Loaded live={live}>
        {({ tokens }) => (
          <div class="scroll" tabIndex={0} role="region" aria-label="Tokens">
            <table>
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col">Role</th>
                  <th scope="col">Id</th>
                  <th scope="col">Made</th>
                  <th scope="col">Expires</th>
                  <th scope="col">
                    <span class="hidden">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {tokens.map((token) => (
                  <Row key={token.id} token={token} onDone={live.refresh} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Screen>
  );
}

function Row({ token, onDone }: { readonly token: TokenView; readonly onDone: () => void }): JSX.Element {
  const { id, name, role, createdAt, expiresAt } = token;
  const isOver = expiresAt !== null && expiresAt <= Date.now();
  return (
    <tr>
      <td class="clip">
        {name} {who.value?.name === name && <span class="quiet">you</span>}
      </td>
      <td>{role}</td>
      <td>
        <code>{id}</code>
      </td>
      <td>
        <Instant at={createdAt} />
      </td>
      <td>
        {expiresAt === null ? <span class="quiet">never</span> : <Ago at={expiresAt} />}
        {isOver && <span class="quiet"> (over)</span>}
      </td>
      <td>
        <button type="button" class="plain" aria-label={`Revoke ${name}`} onClick={() => askRevoke(token, onDone)}>
          Revoke…
        </button>
      </td>
    </tr>
  );
}

/** The one time that a token's text is shown. */
function Made({ token, onHide }: { readonly token: MadeToken; readonly onHide: () => void }): JSX.Element {
  return (
    <Panel
      title={`Token of ${token.name}`}
      class="made-token"
      aside={
        <button type="button" class="plain" onClick={onHide}>
          Hide it for good
        </button>
      }
    >
      <p role="status">Copy it now: it is shown this once, and only its hash is kept.</p>
      <CopyText text={token.token} label={`the token of ${token.name}`} />
    </Panel>
  );
}

interface Draft {
  readonly name: string;
  readonly role: Role;
  readonly lifetime: number;
}

function bodyOf({ name, role, lifetime }: Draft, reason: string | undefined, now: number): object {
  const ms = lifetimes[lifetime]?.ms ?? null;
  return {
    name: name.trim(),
    role,
    ...(ms === null ? {} : { expiresAt: now + ms }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function askToken(onMade: (token: MadeToken) => void): void {
  const draft = signal<Draft>({ name: '', role: 'viewer', lifetime: usualLifetime });
  // A repeat after a lost answer asks for the same end.
  const now = Date.now();
  let made: MadeToken | null = null;
  ask({
    title: 'New token',
    verb: 'Make',
    about: <p>Whoever has it may do what its role may, until it expires or is revoked.</p>,
    content: () => <DraftFields draft={draft} />,
    isReady: () => namePattern.test(draft.value.name.trim()),
    commandLine: ({ reason }) => {
      const { name, role, lifetime } = draft.value;
      const lifeMs = lifetimes[lifetime]?.ms ?? null;
      return tokenCreateLine({ name: name.trim(), role, lifeMs }, { origin: window.location.origin, reason });
    },
    run: async ({ reason }) => {
      made = await post<MadeToken>('/api/tokens', bodyOf(draft.value, reason, now));
      return `Token of ${made.name} made`;
    },
    onDone: () => {
      if (made !== null) onMade(made);
    },
  });
}

function DraftFields({ draft }: { readonly draft: Signal<Draft> }): JSX.Element {
  const { name, role, lifetime } = draft.value;
  const change = (part: Partial<Draft>): void => {
    draft.value = { ...draft.value, ...part };
  };
  return (
    <>
      <label class="field">
        <span>Name</span>
        <input
          type="text"
          value={name}
          maxLength={64}
          autocomplete="off"
          spellcheck={false}
          placeholder="Who uses it, such as anna or ci-deploy"
          aria-invalid={name !== '' && !namePattern.test(name.trim())}
          onInput={(event) => change({ name: event.currentTarget.value })}
        />
      </label>
      <fieldset>
        <legend>Role</legend>
        {roles.map((one) => (
          <label key={one} class="choice">
            <input type="radio" name="role" checked={role === one} onChange={() => change({ role: one })} />
            <span>
              <strong>{one}</strong> <span class="quiet">{roleTexts[one]}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <label class="field">
        <span>Expires after</span>
        <select value={lifetime} onChange={(event) => change({ lifetime: Number(event.currentTarget.value) })}>
          {lifetimes.map(({ label }, index) => (
            <option key={label} value={index}>
              {label}
            </option>
          ))}
        </select>
      </label>
    </>
  );
}

function askRevoke({ id, name, role }: TokenView, onDone: () => void): void {
  const isOwn = who.value?.name === name;
  ask({
    title: 'Revoke token',
    verb: 'Revoke',
    isDangerous: true,
    confirmWord: name,
    about: (
      <>
        <p class="wrap">
          <strong>{name}</strong> <span class="quiet">{role}</span>
        </p>
        <p>It ends at once, and with it every session that was begun with it.{isOwn && ' It is your own.'}</p>
      </>
    ),
    commandLine: ({ reason }) => tokenRevokeLine(id, { origin: window.location.origin, reason }),
    run: async ({ reason }) => {
      await remove(`/api/tokens/${id}`, reason === undefined ? {} : { reason });
      return `Token of ${name} revoked`;
    },
    onDone,
  });
}
