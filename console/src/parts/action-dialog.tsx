import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { asApiError, type ApiError } from '../api/http.ts';
import { CopyText } from './copy-text.tsx';
import { ErrorBox } from './error-box.tsx';

/** What an action is given when it runs. */
export interface ActionNote {
  readonly reason: string | undefined;
  /** Made once for the dialog: a second press after a lost answer repeats the command, and has no second effect. */
  readonly commandId: string;
}

/** An action, to be confirmed before it runs. */
export interface Action {
  readonly title: string;
  /** On the button. */
  readonly verb: string;
  /** What will happen. */
  readonly about: ComponentChildren;
  readonly isDangerous?: boolean;
  /** To be typed before a destructive action can run. A function, when it is known later. */
  readonly confirmWord?: string | (() => string | null);
  /** More to look at, or to fill in. */
  readonly content?: () => ComponentChildren;
  /** Whether what was filled in is good. */
  readonly isReady?: () => boolean;
  /** The same as a command line. */
  readonly commandLine: (note: ActionNote) => string;
  /** Does it; gives the sentence that tells of it. */
  readonly run: (note: ActionNote) => Promise<string>;
  /** After it, when the dialog is gone. */
  readonly onDone?: () => void;
}

const current = signal<{ readonly id: number; readonly action: Action } | null>(null);
let opened = 0;
/** The last action's sentence, for those who look and for those who listen. */
export const announcement = signal<string>('');

/** Opens the dialog of an action. */
export function ask(action: Action): void {
  opened += 1;
  current.value = { id: opened, action };
}

/** Where dialogs appear; once on the page. */
export function ActionDialogHost(): JSX.Element | null {
  const { value } = current;
  return value === null ? null : (
    <ActionDialog key={value.id} action={value.action} onClose={() => (current.value = null)} />
  );
}

const maximumReasonLength = 1_000;

function ActionDialog({ action, onClose }: { readonly action: Action; readonly onClose: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [commandId] = useState(() => crypto.randomUUID());
  const [reason, setReason] = useState('');
  const [typed, setTyped] = useState('');
  const [isRunning, setIsRunning] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const note: ActionNote = { reason: reason.trim() === '' ? undefined : reason.trim(), commandId };

  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
      else document.querySelector<HTMLElement>('main h1')?.focus();
    };
  }, []);

  const word = typeof action.confirmWord === 'function' ? action.confirmWord() : action.confirmWord;
  const isConfirmed = word === undefined || (word !== null && typed.trim() === word);
  const isReady = isConfirmed && (action.isReady?.() ?? true) && !isRunning;
  const commandLine = action.commandLine(note);

  const run = async (): Promise<void> => {
    setIsRunning(true);
    setError(null);
    try {
      announcement.value = await action.run(note);
      onClose();
      action.onDone?.();
    } catch (thrown) {
      setError(asApiError(thrown));
      setIsRunning(false);
    }
  };

  return (
    <dialog
      ref={dialog}
      aria-labelledby="dialog-title"
      onClose={onClose}
      onCancel={(event) => {
        if (isRunning) event.preventDefault();
      }}
    >
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          if (isReady) void run();
        }}
      >
        <h2 id="dialog-title">{action.title}</h2>
        <div class="dialog-body">
          <div class="dialog-about">{action.about}</div>
          {action.content?.()}
          <label class="field">
            <span>Reason</span>
            <input
              type="text"
              value={reason}
              maxLength={maximumReasonLength}
              placeholder="Why; kept in the journal and in the audit log"
              onInput={(event) => setReason(event.currentTarget.value)}
            />
          </label>
          {word !== undefined && word !== null && (
            <label class="field">
              <span>
                Type <strong class="typed">{word}</strong> to confirm
              </span>
              <input
                type="text"
                value={typed}
                autocomplete="off"
                spellcheck={false}
                onInput={(event) => setTyped(event.currentTarget.value)}
              />
            </label>
          )}
          <div class="field">
            <span>The same on the command line</span>
            <CopyText text={commandLine} label="the same on the command line" />
          </div>
          {error !== null && <ErrorBox error={error} />}
        </div>
        <div class="dialog-foot">
          <span class="quiet command-id" title="A repeat with this id has no second effect">
            id {commandId}
          </span>
          <button type="button" onClick={onClose} disabled={isRunning}>
            Back
          </button>
          <button type="submit" class={action.isDangerous === true ? 'danger' : 'primary'} disabled={!isReady}>
            {isRunning ? 'Working…' : action.verb}
          </button>
        </div>
      </form>
    </dialog>
  );
}
