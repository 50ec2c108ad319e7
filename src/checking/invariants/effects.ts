import type { Payload } from '../../core/records.ts';
import { contentHash } from '../../core/hash.ts';
import type { DriverEndEvent, EffectEvent } from '../history-events.ts';
import type { Breach, Invariant } from '../invariant.ts';
import { attemptKey, type Completion, type Story } from '../story.ts';

/** What was done to the world outside, against what the journal says was done. */
export const effectInvariants: readonly Invariant[] = [
  {
    id: 'I10',
    title: 'the recorded output of a stage is what the world gave for its effects',
    needs: ['journal', 'effects'],
    check: checkReceipts,
  },
  {
    id: 'I10',
    title:
      'a completed stage of those that must have an effect has had it, and names no receipt that the world never gave',
    needs: ['journal', 'effects', 'effectStages'],
    check: checkApplied,
  },
  {
    id: 'I10',
    title: 'the recorded output of a stage is what its driver returned',
    needs: ['journal', 'drivers'],
    check: checkReturned,
  },
  {
    id: 'I11',
    title: 'the key of an effect is that of its stage, the same for every attempt, process and owner',
    needs: ['effects'],
    *check(story) {
      for (const event of story.eventsOf('effect')) {
        if (isKeyOf(story, event)) continue;
        yield { says: `${event.key} is not the key of ${event.task}/${event.stage}`, events: [event] };
      }
    },
  },
  {
    id: 'I11',
    title: 'the key that a driver gets is that of its stage',
    needs: ['drivers'],
    *check(story) {
      for (const event of story.eventsOf('driver.started')) {
        if (event.key === ownKey(story, event)) continue;
        yield { says: `a driver of ${event.task}/${event.stage} got the key ${event.key}`, events: [event] };
      }
    },
  },
  {
    id: 'I12',
    title: 'an attempt asks once for an effect',
    needs: ['effects'],
    *check(story) {
      const asked = new Map<string, EffectEvent>();
      for (const event of story.eventsOf('effect')) {
        const name = `${event.key} ${event.attempt}`;
        const before = asked.get(name);
        if (before === undefined) asked.set(name, event);
        else yield { says: `${event.key}: attempt ${event.attempt} asked twice`, events: [before, event] };
      }
    },
  },
  {
    id: 'I12',
    title: 'what the world answers as known was applied before',
    needs: ['effects'],
    *check(story) {
      const applied = new Set<string>();
      for (const event of story.eventsOf('effect')) {
        if (event.result === 'applied') applied.add(event.key);
        if (event.result !== 'replayed' || applied.has(event.key)) continue;
        yield { says: `${event.key} was known to the world, and nobody had applied it`, events: [event] };
      }
    },
  },
  {
    id: 'I13',
    title: 'an effect whose record was lost is not applied again by the attempt that comes after it',
    needs: ['journal', 'effects'],
    *check(story) {
      const applied = new Map<string, EffectEvent>();
      for (const event of story.eventsOf('effect')) {
        if (event.result !== 'applied') continue;
        const before = applied.get(event.key);
        applied.set(event.key, event);
        if (before === undefined || before.attempt === event.attempt || !isProtected(story, event)) continue;
        yield {
          says: `${event.key} was applied by attempt ${before.attempt} and again by ${event.attempt}`,
          events: [before, event],
        };
      }
    },
  },
  {
    id: 'I14',
    title: 'a sub-step that is committed is not done again by a later attempt',
    needs: ['journal', 'effects'],
    check: checkSubSteps,
  },
  {
    id: 'I14',
    title: 'a driver is called once for an attempt, and not when its process knows the result of the stage',
    needs: ['journal', 'drivers'],
    *check(story) {
      const called = new Set<string>();
      for (const event of story.eventsOf('driver.started')) {
        const name = attemptKey(event);
        if (called.has(name)) yield { says: `the driver of ${name} was called twice`, events: [event] };
        called.add(name);
        const completion = story.completionOf(event.task, event.stage);
        if (completion === undefined || event.at <= completion.at) continue;
        const owner = story.claimOf(completion.shard, completion.epoch);
        if (owner?.node !== event.node || owner.incarnation !== event.incarnation) continue;
        yield {
          says: `${event.node} called the driver of ${name} after it had recorded the stage's result`,
          sequences: [completion.sequence],
          events: [event],
        };
      }
    },
  },
  {
    id: 'I14',
    title: 'a driver ends once, and only when it was called',
    needs: ['drivers'],
    *check(story) {
      const open = new Set(story.eventsOf('driver.started').map((event) => attemptKey(event)));
      for (const event of story.eventsOf('driver.ended')) {
        const name = attemptKey(event);
        if (open.delete(name)) continue;
        yield { says: `the driver of ${name} ended, and was not called for that`, events: [event] };
      }
    },
  },
  {
    id: 'I17',
    title: 'an older attempt changes nothing outside once a newer one was heard there',
    needs: ['effects'],
    *check(story) {
      const newest = new Map<string, EffectEvent>();
      for (const event of story.eventsOf('effect')) {
        const before = newest.get(event.key);
        if (before === undefined || event.attempt > before.attempt) newest.set(event.key, event);
        else if (event.attempt < before.attempt && event.result !== 'refused') {
          yield {
            says: `${event.key}: attempt ${event.attempt} was ${event.result} after ${before.attempt} was heard`,
            events: [before, event],
          };
        }
      }
    },
  },
];

function ownKey({ history }: Story, { task, stage }: { readonly task: string; readonly stage: string }): string {
  return `${history.namespace}:${task}:${stage}`;
}

/** A driver with several effects puts a suffix of its own after the key. */
function isKeyOf(story: Story, event: EffectEvent): boolean {
  const own = ownKey(story, event);
  return event.key === own || event.key.startsWith(`${own}:`);
}

/** Whether a second application is the engine's fault: where the world knows no keys, only a stage that says so is protected. */
function isProtected(story: Story, { honorsKeys, task, stage }: EffectEvent): boolean {
  if (honorsKeys !== false) return true;
  const spec = story.specOf(task, stage);
  return spec === undefined || spec.effect === 'atMostOnce' || spec.driver.lookup !== undefined;
}

function* checkReceipts(story: Story): Iterable<Breach> {
  const outputs = new Map<Completion, string>();
  const told = new Set<string>();
  for (const event of story.eventsOf('effect')) {
    const { task, stage, receipt, result, key } = event;
    const completion = story.completionOf(task, stage);
    if (receipt === undefined || result === 'refused' || completion === undefined || told.has(key)) continue;
    // An operator says what he knows, not what the world gave.
    if (completion.by === 'operator' || !isKeyOf(story, event)) continue;
    const output = outputs.get(completion) ?? textOf(completion.output);
    if (output === null) continue;
    outputs.set(completion, output);
    if (output.includes(JSON.stringify(receipt).slice(1, -1))) continue;
    told.add(key);
    yield {
      says: `the output of ${task}/${stage} has no trace of ${receipt}, which the world gave for ${key}`,
      sequences: [completion.sequence],
      events: [event],
    };
  }
}

function* checkApplied(story: Story): Iterable<Breach> {
  const stages = new Set(story.history.bounds.effectStages);
  const given = new Map<string, Set<string | undefined>>();
  for (const { task, stage, result, receipt } of story.eventsOf('effect')) {
    if (result === 'refused') continue;
    const known = given.get(`${task}/${stage}`);
    if (known === undefined) given.set(`${task}/${stage}`, new Set([receipt]));
    else known.add(receipt);
  }
  for (const { task, stage, sequence, by, output } of story.completions) {
    const isListed = stages.has(`${story.taskOf(task)?.pipeline}/${stage}`);
    if (!isListed || by === 'operator') continue;
    const receipts = given.get(`${task}/${stage}`);
    if (receipts === undefined) {
      yield { says: `${task}/${stage} is completed, but its effect was never applied`, sequences: [sequence] };
      continue;
    }
    const invented = receiptsIn(output).find((receipt) => !receipts.has(receipt));
    if (invented === undefined) continue;
    yield {
      says: `the output of ${task}/${stage} names ${invented}, which the world never gave`,
      sequences: [sequence],
    };
  }
}

/** The receipts that an output names, by the custom of test worlds: its members `receipt` and `receipts`. */
function receiptsIn(payload: Payload): readonly string[] {
  if (!('json' in payload) || typeof payload.json !== 'object' || payload.json === null) return [];
  const { receipt, receipts } = payload.json as { readonly receipt?: unknown; readonly receipts?: unknown };
  const all = Array.isArray(receipts) ? [receipt, ...(receipts as readonly unknown[])] : [receipt];
  return all.filter((one) => typeof one === 'string');
}

function textOf(payload: Payload): string | null {
  return 'json' in payload ? JSON.stringify(payload.json) : null;
}

function* checkReturned(story: Story): Iterable<Breach> {
  const returned = new Map<string, DriverEndEvent>();
  for (const event of story.eventsOf('driver.ended')) returned.set(attemptKey(event), event);
  for (const completion of story.completions) {
    if (completion.by !== 'driver') continue;
    const name = attemptKey(completion);
    const event = returned.get(name);
    const sequences = [completion.sequence];
    if (event === undefined) yield { says: `${name} has a result, but its driver never returned`, sequences };
    else if (event.outcome.kind !== 'completed') {
      yield { says: `${name} has a result, but its driver ${event.outcome.kind}`, sequences, events: [event] };
    } else if (event.outcome.outputHash !== undefined && 'json' in completion.output) {
      if (event.outcome.outputHash === contentHash(completion.output.json)) continue;
      yield { says: `${name} has another output than its driver returned`, sequences, events: [event] };
    }
  }
}

function* checkSubSteps(story: Story): Iterable<Breach> {
  const committed = new Map<string, { readonly attempt: number; readonly sequence: number }>();
  for (const { record, sequence } of story.steps) {
    const { task, event } = record;
    if (event.type !== 'stage.checkpointed') continue;
    const key = `${story.history.namespace}:${task}:${event.stage}:${event.name}`;
    // The first one counts: an engine that forgets it would commit it again.
    if (!committed.has(key)) committed.set(key, { attempt: event.attempt, sequence });
  }
  for (const event of story.eventsOf('effect')) {
    const known = committed.get(event.key);
    if (known === undefined || event.attempt <= known.attempt) continue;
    yield {
      says: `${event.key}: attempt ${event.attempt} did again what attempt ${known.attempt} had committed`,
      sequences: [known.sequence],
      events: [event],
    };
  }
}
