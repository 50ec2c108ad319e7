import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { HistoryRecord, JsonValue } from '../api/types.ts';
import { recordText, stageOfEvent } from '../model/record-text.ts';
import { JsonView } from '../parts/json-view.tsx';
import { Empty, Panel } from '../parts/screen.tsx';
import { Instant } from '../parts/time.tsx';

const firstShown = 200;

/** The task's records. A press on one shows the machine as it was then. */
export function JournalPanel(props: {
  readonly records: readonly HistoryRecord[];
  readonly missingCount: number;
  readonly isCutOff: boolean;
  readonly index: number;
  readonly onChoose: (index: number) => void;
}): JSX.Element {
  const { records, missingCount, isCutOff, index, onChoose } = props;
  const [most, setMost] = useState(firstShown);
  const chosen = records[index];
  return (
    <Panel title="Journal" class="is-bounded" aside={<span class="quiet">{records.length} records</span>}>
      {missingCount > 0 && <p class="quiet">{missingCount} records before these were trimmed.</p>}
      {isCutOff && <p class="quiet">There are more; the command line has all: cabinet task history</p>}
      {records.length === 0 ? (
        <Empty>Nothing was read yet.</Empty>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Journal">
          <table class="journal">
            <thead>
              <tr>
                <th scope="col" class="number">
                  No
                </th>
                <th scope="col">At</th>
                <th scope="col">Record</th>
                <th scope="col">Stage</th>
                <th scope="col">What</th>
                <th scope="col">Led to</th>
                <th scope="col" class="number">
                  Epoch
                </th>
              </tr>
            </thead>
            <tbody>
              {records.slice(0, most).map(({ record, epoch }, at) => (
                <tr key={record.seq} class={at === index ? 'is-chosen' : ''}>
                  <td class="number">
                    <button
                      type="button"
                      class="plain"
                      aria-pressed={at === index}
                      aria-label={`Show the machine at record ${record.seq}`}
                      onClick={() => onChoose(at)}
                    >
                      {record.seq}
                    </button>
                  </td>
                  <td>
                    <Instant at={record.at} />
                  </td>
                  <td>
                    <code>{record.event.type}</code>
                  </td>
                  <td class="clip">{stageOfEvent(record.event) ?? '–'}</td>
                  <td class="wide">{recordText(record.event, record.at)}</td>
                  <td>
                    <code>{record.to}</code>
                  </td>
                  <td class="number">{epoch}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {records.length > most && (
            <button type="button" onClick={() => setMost(most + 500)}>
              Show {Math.min(500, records.length - most)} more of {records.length}
            </button>
          )}
        </div>
      )}
      {chosen !== undefined && (
        <details class="alternative">
          <summary>Record {chosen.record.seq} whole</summary>
          <JsonView value={chosen as unknown as JsonValue} label={`Record ${chosen.record.seq}`} />
        </details>
      )}
    </Panel>
  );
}
