import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import { get, post } from '../api/http.ts';
import type { JsonValue } from '../api/types.ts';
import { useLive } from '../live.ts';
import { submitCommandLine } from '../model/cli-command.ts';
import {
  formFields,
  formValue,
  initialTexts,
  keyOf,
  parseJsonText,
  type FormField,
  type FormTexts,
} from '../model/schema-form.ts';
import { ask } from '../parts/action-dialog.tsx';
import { JsonView } from '../parts/json-view.tsx';
import { Loaded, Panel } from '../parts/screen.tsx';

interface FormAnswer {
  readonly inputSchema: JsonValue | null;
}

/** Starts a task: with a field for each part of the input where its schema tells them, or as JSON text. */
export function StartForm({ pipeline, version }: { readonly pipeline: string; readonly version: number }): JSX.Element {
  const live = useLive({
    key: `form ${pipeline} ${version}`,
    everyMs: 600_000,
    load: (signal) => get<FormAnswer>(`/api/pipelines/${pipeline}/form`, { version }, signal),
  });
  return (
    <Panel title="Start a task">
      <Loaded live={live}>
        {({ inputSchema }) => <Form pipeline={pipeline} version={version} fields={formFields(inputSchema)} />}
      </Loaded>
    </Panel>
  );
}

function Form(props: {
  readonly pipeline: string;
  readonly version: number;
  readonly fields: readonly FormField[] | null;
}): JSX.Element {
  const { pipeline, version, fields } = props;
  const { route } = useLocation();
  const [texts, setTexts] = useState<FormTexts>(() => initialTexts(fields ?? []));
  const [json, setJson] = useState<string | null>(fields === null ? '{}' : null);
  const [taskId, setTaskId] = useState('');
  const [isTried, setIsTried] = useState(false);
  const fromFields = formValue(fields ?? [], texts);
  const fromJson = json === null ? null : parseJsonText(json);
  const isGoodId = taskId === '' || /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(taskId);
  const input =
    fromJson === null
      ? fromFields.kind === 'value'
        ? { value: fromFields.value }
        : null
      : 'value' in fromJson
        ? { value: fromJson.value }
        : null;
  const problems = isTried && fromFields.kind === 'problems' ? fromFields.problems : {};

  const confirm = (): void => {
    setIsTried(true);
    if (input === null || !isGoodId) return;
    let startedId = '';
    const request = (commandId: string): { readonly taskId?: string; readonly idempotencyKey?: string } =>
      taskId === '' ? { idempotencyKey: commandId } : { taskId };
    ask({
      title: `Start a task of ${pipeline}`,
      verb: 'Start',
      about: (
        <>
          <p>
            {pipeline} v{version}
            {taskId !== '' && ` as ${taskId}`}, with the input
          </p>
          <JsonView value={input.value} label="Input" />
        </>
      ),
      commandLine: ({ reason, commandId }) =>
        submitCommandLine({ pipeline, version, input: input.value, ...request(commandId), reason }),
      run: async ({ reason, commandId }) => {
        const submitted = await post<{ readonly taskId: string; readonly kind: string }>('/api/tasks', {
          pipeline,
          version,
          input: input.value,
          ...request(commandId),
          ...(reason === undefined ? {} : { reason }),
        });
        startedId = submitted.taskId;
        return submitted.kind === 'existing' ? `${startedId} was there before` : `Started ${startedId}`;
      },
      onDone: () => route(`/tasks/${startedId}`),
    });
  };

  return (
    <form
      class="start-form"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        confirm();
      }}
    >
      {json === null && fields !== null ? (
        <div class="fields">
          {fields.map((field) => (
            <Field
              key={keyOf(field)}
              field={field}
              text={texts[keyOf(field)] ?? ''}
              problem={problems[keyOf(field)]}
              onText={(text) => setTexts({ ...texts, [keyOf(field)]: text })}
            />
          ))}
        </div>
      ) : (
        <label class="field">
          <span>
            Input, as JSON
            {fields === null && <span class="quiet"> · the pipeline's schema cannot be told as a form</span>}
          </span>
          <textarea
            rows={8}
            spellcheck={false}
            value={json ?? ''}
            aria-invalid={fromJson !== null && 'problem' in fromJson}
            aria-describedby="json-problem"
            onInput={(event) => setJson(event.currentTarget.value)}
          />
          <span id="json-problem" class="problem" role="status">
            {fromJson !== null && 'problem' in fromJson ? fromJson.problem : ''}
          </span>
        </label>
      )}
      <label class="field">
        <span>
          Task id <span class="quiet">a new one when left out</span>
        </span>
        <input
          type="text"
          value={taskId}
          spellcheck={false}
          maxLength={128}
          aria-invalid={!isGoodId}
          onInput={(event) => setTaskId(event.currentTarget.value.trim())}
        />
        {!isGoodId && <span class="problem">takes letters, digits, - and _</span>}
      </label>
      <div class="buttons">
        <button type="submit" class="primary">
          Start…
        </button>
        {fields !== null && (
          <button
            type="button"
            onClick={() =>
              setJson(
                json === null ? JSON.stringify(fromFields.kind === 'value' ? fromFields.value : {}, null, 2) : null,
              )
            }
          >
            {json === null ? 'Write it as JSON' : 'Back to the fields'}
          </button>
        )}
      </div>
    </form>
  );
}

function Field(props: {
  readonly field: FormField;
  readonly text: string;
  readonly problem: string | undefined;
  readonly onText: (text: string) => void;
}): JSX.Element {
  const { field, text, problem, onText } = props;
  const id = `field-${keyOf(field)}`;
  const described = {
    'aria-describedby': `${id}-about`,
    'aria-invalid': problem !== undefined,
    'aria-required': field.isRequired,
  };
  const about = (
    <span id={`${id}-about`} class={problem === undefined ? 'quiet' : 'problem'}>
      {problem ?? field.about ?? ''}
    </span>
  );
  if (field.kind === 'flag') {
    return (
      <div class="field">
        <label class="choice">
          <input
            type="checkbox"
            checked={text === 'true'}
            {...described}
            onChange={(event) => onText(String(event.currentTarget.checked))}
          />
          <span>{field.label}</span>
        </label>
        {about}
      </div>
    );
  }
  return (
    <div class="field">
      <label for={id}>
        {field.label}
        {field.isRequired && <span class="quiet"> required</span>}
      </label>
      <Control field={field} id={id} text={text} onText={onText} described={described} />
      {about}
    </div>
  );
}

function Control(props: {
  readonly field: FormField;
  readonly id: string;
  readonly text: string;
  readonly onText: (text: string) => void;
  readonly described: Readonly<Record<string, string | boolean>>;
}): JSX.Element {
  const { field, id, text, onText, described } = props;
  switch (field.kind) {
    case 'choice':
      return (
        <select id={id} value={text} {...described} onChange={(event) => onText(event.currentTarget.value)}>
          <option value="">{field.isRequired ? 'Choose' : '–'}</option>
          {field.choices.map((choice) => (
            <option key={JSON.stringify(choice)} value={JSON.stringify(choice)}>
              {typeof choice === 'string' ? choice : JSON.stringify(choice)}
            </option>
          ))}
        </select>
      );
    case 'longText':
    case 'json':
      return (
        <textarea
          id={id}
          rows={3}
          spellcheck={false}
          value={text}
          placeholder={field.kind === 'json' ? 'JSON' : ''}
          {...described}
          onInput={(event) => onText(event.currentTarget.value)}
        />
      );
    case 'integer':
    case 'number':
    case 'text':
      return (
        <input
          id={id}
          type="text"
          inputMode={field.kind === 'text' ? 'text' : 'decimal'}
          spellcheck={false}
          value={text}
          {...described}
          onInput={(event) => onText(event.currentTarget.value)}
        />
      );
    case 'flag':
      throw new Error('a flag has its label beside it');
    default:
      return field.kind satisfies never;
  }
}
