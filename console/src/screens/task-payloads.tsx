import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { asApiError, get, type ApiError } from '../api/http.ts';
import type { PayloadAnswer, TaskView } from '../api/types.ts';
import { showBytes } from '../model/sizes.ts';
import { ErrorBox } from '../parts/error-box.tsx';
import { JsonView } from '../parts/json-view.tsx';
import { Panel } from '../parts/screen.tsx';
import { may } from '../session.ts';

const largestBytes = 1024 * 1024;

/** The input and the outputs, each fetched when it is opened. */
export function PayloadsPanel({ task }: { readonly task: TaskView }): JSX.Element {
  if (!may('operator')) {
    return (
      <Panel title="Payloads">
        <p class="quiet">Inputs and outputs are shown to operators.</p>
      </Panel>
    );
  }
  const outputs = task.stages.filter(({ status }) => status === 'completed').map(({ stage }) => stage);
  return (
    <Panel title="Payloads" aside={<span class="quiet">fetched when opened</span>}>
      <div class="payloads">
        <Payload taskId={task.taskId} stage={null} />
        {outputs.map((stage) => (
          <Payload key={stage} taskId={task.taskId} stage={stage} />
        ))}
      </div>
    </Panel>
  );
}

function Payload({ taskId, stage }: { readonly taskId: string; readonly stage: string | null }): JSX.Element {
  const [answer, setAnswer] = useState<PayloadAnswer | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const name = stage === null ? 'Input' : `Output of ${stage}`;
  const load = (maxBytes?: number): void => {
    setError(null);
    get<PayloadAnswer>(`/api/tasks/${taskId}/payloads`, { stage: stage ?? undefined, maxBytes })
      .then(setAnswer)
      .catch((thrown: unknown) => setError(asApiError(thrown)));
  };
  return (
    <details
      class="payload"
      onToggle={({ currentTarget: { open } }) => {
        if (open && answer === null) load();
      }}
    >
      <summary>
        {name} {answer !== null && <span class="quiet">{showBytes(answer.sizeBytes)}</span>}
      </summary>
      {error !== null && <ErrorBox error={error} onRetry={() => load()} />}
      {answer === null && error === null && <p class="quiet">Loading…</p>}
      {answer?.isShown === true && <JsonView value={answer.value ?? null} label={name} />}
      {answer?.isShown === false && (
        <p>
          It has {showBytes(answer.sizeBytes)}.{' '}
          {answer.sizeBytes <= largestBytes ? (
            <button type="button" onClick={() => load(largestBytes)}>
              Show it
            </button>
          ) : (
            'That is too much for a page; cabinet task get --payloads has it.'
          )}
        </p>
      )}
    </details>
  );
}
