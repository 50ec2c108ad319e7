import type { JSX } from 'preact';
import { get } from '../api/http.ts';
import type { TaskExplanation } from '../api/types.ts';
import { useLive } from '../live.ts';
import { showDuration } from '../model/durations.ts';
import { CopyText } from '../parts/copy-text.tsx';
import { Loaded, Panel } from '../parts/screen.tsx';
import { Ago } from '../parts/time.tsx';

const everyMs = 5_000;

/** Why the task stands where it stands: what holds it, who can move it, and when it moves by itself. */
export function WhyPanel({ taskId, seq }: { readonly taskId: string; readonly seq: number }): JSX.Element {
  const live = useLive({
    key: `why ${taskId} ${seq}`,
    everyMs,
    load: (signal) => get<TaskExplanation>(`/api/tasks/${taskId}/why`, {}, signal),
  });
  return (
    <Panel title="Why">
      <Loaded live={live}>
        {(why) => (
          <>
            <p class="sentence">{why.sentence}</p>
            <dl class="facts in-line">
              <dt>Held by</dt>
              <dd>{why.holds.length === 0 ? 'nothing' : why.holds.map(holdText).join('; ')}</dd>
              {why.source !== 'owner' && (
                <>
                  <dt>By the word of</dt>
                  <dd>the {why.source}: its owner does not answer</dd>
                </>
              )}
              <dt>Can be moved by</dt>
              <dd>{why.movers.join(', ')}</dd>
              <dt>Moves by itself</dt>
              <dd>{why.movesAt === null ? 'no time is known' : <Ago at={why.movesAt} />}</dd>
              {why.legalEvents.length > 0 && (
                <>
                  <dt>Takes</dt>
                  <dd class="wrap">
                    {why.legalEvents.map((event) => (
                      <code key={event} class="tag">
                        {event}
                      </code>
                    ))}
                  </dd>
                </>
              )}
            </dl>
            {why.moves.length > 0 && (
              <details class="alternative">
                <summary>On the command line</summary>
                <ul class="moves">
                  {why.moves.map(({ cli, effect }) => (
                    <li key={cli}>
                      <CopyText text={cli} label={`the command line after which ${effect}`} />
                      <span class="quiet">{effect}</span>
                    </li>
                  ))}
                </ul>
              </details>
            )}
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function holdText(hold: TaskExplanation['holds'][number]): string {
  switch (hold.kind) {
    case 'limit':
      if (hold.limit !== null) return `a slot of its ${hold.of ?? 'node'}: ${hold.limit} run at one time`;
      return hold.concurrency === null ? 'a slot of its node' : `a slot: ${hold.concurrency} run at one time`;
    case 'turn':
      return 'those before it in line';
    case 'suspect':
      return `its ${hold.losses} losses of a node: suspects start apart`;
    case 'breaker':
      return `the breaker of ${hold.port}`;
    case 'handover':
      return 'the handover of its shard';
    case 'timer':
      return 'a backoff';
    case 'driver':
      return hold.timeoutMs === null ? 'its driver' : `its driver, for ${showDuration(hold.timeoutMs)} at most`;
    case 'pause':
      return hold.isPending ? 'a pause, from the next start on' : 'a pause';
    case 'unknownOutcome':
      return hold.lookup === 'asking' ? 'an unknown outcome, of which its driver is asked' : 'an unknown outcome';
    case 'deadLetter':
      return `it was given up: ${hold.code ?? hold.failureClass ?? 'no reason kept'}`;
    case 'noOwner':
      return 'nobody serves its shard';
    case 'ended':
      return 'it has ended';
    default:
      return (hold satisfies never as { readonly kind: string }).kind;
  }
}
