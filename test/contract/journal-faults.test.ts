import { afterEach, describe, expect, it } from 'vitest';

import type { Sequence, ShardId } from '../../src/core/ids.ts';
import type { JournalEntry } from '../../src/ports/journal.ts';
import type { NatsJournal } from '../../src/store/nats-journal.ts';
import { startNats, type NatsFixture } from '../support/nats-server.ts';
import { eventually, NatsWorld } from '../support/nats-world.ts';
import { appendAll, bodyOf, committedAt, numbered, takeAll, textOf } from './journal.contract.ts';

const shard = 1 as ShardId;
const none = 0 as Sequence;

let fixture: NatsFixture;
let world: NatsWorld;

async function start(servers: 1 | 3): Promise<void> {
  fixture = await startNats({ servers });
  world = new NatsWorld(fixture, servers);
}

afterEach(async () => {
  await world.stop();
});

/** Repeats an append until it is committed or refused for good, as a shard does with `busy` and `unknown`. */
async function resolveAppend(journal: NatsJournal, text: string, expectedLast: Sequence): Promise<Sequence> {
  let sequence = none;
  await eventually(
    `append of ${text} is resolved`,
    async () => {
      const messageId = `${shard}.${text}`;
      const outcome = await journal.append({ shard, body: bodyOf(text), expectedLast, messageId });
      if (outcome.kind === 'committed') sequence = outcome.sequence;
      if (outcome.kind !== 'conflict') return sequence !== none;
      const last = await journal.readLast(shard);
      if (last !== null && textOf(last) === text) sequence = last.sequence;
      return sequence !== none;
    },
    40_000,
  );
  return sequence;
}

describe('an append when the server or the link fails', () => {
  it('R-IDEM-2: is unknown at once on a killed server, and its repeat is stored exactly once', async () => {
    await start(1);
    const journal = await world.journal('kill', { ackTimeoutMs: 60_000 });
    const [last = none] = await appendAll(journal, shard, ['a']);
    await fixture.freeze();
    const inFlight = journal.append({ shard, body: bodyOf('b'), expectedLast: last, messageId: `${shard}.b` });
    await fixture.kill();
    const outcome = await inFlight;
    if (outcome.kind !== 'committed') expect(outcome).toMatchObject({ kind: 'unknown', code: 'UNAVAILABLE' });
    expect(await journal.append({ shard, body: bodyOf('b'), expectedLast: last, messageId: `${shard}.b` })).toEqual({
      kind: 'unknown',
      code: 'UNAVAILABLE',
      detail: 'the NATS link is down',
    });
    await fixture.restart();
    const through = await resolveAppend(journal, 'b', last);
    const all = await takeAll(journal.read({ shard, after: none, through }));
    expect(all.map(textOf)).toEqual(['a', 'b']);
  });

  it('R-IDEM-2: may land after its timeout, and its repeat then conflicts with itself', async () => {
    await start(1);
    const journal = await world.journal('late', { ackTimeoutMs: 300 });
    let last = none;
    let text = '';
    await fixture.freeze();
    // The signal takes a moment to stop all of the server's threads: the first appends may still be acknowledged.
    await eventually('an append times out', async () => {
      text = `r${last + 1}`;
      const outcome = await journal.append({ shard, body: bodyOf(text), expectedLast: last, messageId: text });
      if (outcome.kind === 'committed') last = outcome.sequence;
      else expect(outcome).toMatchObject({ kind: 'unknown', detail: 'no acknowledgement in time' });
      return outcome.kind === 'unknown';
    });
    await fixture.resume();
    await eventually('the late append lands', async () => {
      const found = await journal.readLast(shard).catch(() => null);
      return found !== null && textOf(found) === text;
    });
    const repeated = await journal.append({ shard, body: bodyOf(text), expectedLast: last, messageId: text });
    expect(repeated).toEqual({ kind: 'conflict' });
    expect(await journal.readLast(shard)).toMatchObject({ sequence: last + 1, previous: last });
  });

  it('is unknown with UNAVAILABLE when the stream does not exist', async () => {
    await start(1);
    const journal = await world.journal('deleted');
    const link = await world.link();
    await link.connection.request('$JS.API.STREAM.DELETE.deleted-journal', '');
    expect(await journal.append({ shard, body: bodyOf('a'), expectedLast: none, messageId: 'a' })).toMatchObject({
      kind: 'unknown',
      code: 'UNAVAILABLE',
    });
    await expect(journal.readLast(shard)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(journal.bounds()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(takeAll(journal.read({ shard, after: none, through: 1 as Sequence }))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  it('is unknown with STORAGE_FULL when the stream is full, and nothing stored is dropped for it', async () => {
    await start(1);
    const journal = await world.journal('full');
    const link = await world.link();
    const info = await link.connection.request('$JS.API.STREAM.INFO.full-journal', '');
    const { config } = info.json<{ config: object }>();
    await link.connection.request(
      '$JS.API.STREAM.UPDATE.full-journal',
      JSON.stringify({ ...config, max_bytes: 4_096 }),
    );
    let last = none;
    const body = new Uint8Array(1_000);
    await eventually('the stream is full', async () => {
      const messageId = `m${last}`;
      const outcome = await journal.append({ shard, body, expectedLast: last, messageId });
      if (outcome.kind === 'committed') last = outcome.sequence;
      else expect(outcome).toMatchObject({ kind: 'unknown', code: 'STORAGE_FULL' });
      return outcome.kind === 'unknown';
    });
    expect(last).toBeGreaterThan(0);
    expect(await takeAll(journal.read({ shard, after: none, through: last }))).toHaveLength(last);
  });

  it('fails reads with UNAVAILABLE while the link is down', async () => {
    await start(1);
    const journal = await world.journal('down');
    const [through = none] = await appendAll(journal, shard, ['a']);
    await fixture.kill();
    await expect(journal.readLast(shard)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(journal.bounds()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(journal.trim(shard, through)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(takeAll(journal.read({ shard, after: none, through }))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });
});

/** Follows in the background until it is aborted. */
function followInBackground(journal: NatsJournal): {
  readonly seen: JournalEntry[];
  readonly stop: () => Promise<void>;
} {
  const seen: JournalEntry[] = [];
  const abort = new AbortController();
  const done = (async () => {
    for await (const entry of journal.follow({ after: none, signal: abort.signal })) seen.push(entry);
  })();
  return {
    seen,
    stop: () => {
      abort.abort();
      return done;
    },
  };
}

describe('a follower', () => {
  it('R-EVT-2: goes on without a gap or a duplicate over restarts of its server', async () => {
    await start(1);
    const journal = await world.journal('follow');
    const follower = followInBackground(journal);
    let last = none;
    for (const text of numbered('r', 60)) {
      last = await resolveAppend(journal, text, last);
      if (text === 'r20' || text === 'r40') {
        await fixture.kill();
        await fixture.restart();
      }
    }
    await eventually('all has been followed', () => follower.seen.length >= 60);
    await follower.stop();
    expect(follower.seen.map(textOf)).toEqual(numbered('r', 60));
  });

  it('R-EVT-2: goes on over a server that freezes and thaws', async () => {
    await start(1);
    const journal = await world.journal('freeze', { ackTimeoutMs: 1_000 });
    const follower = followInBackground(journal);
    const last = await resolveAppend(journal, 'a', none);
    await eventually('the first has been followed', () => follower.seen.length === 1);
    await fixture.freeze();
    const writing = resolveAppend(journal, 'b', last);
    await fixture.resume();
    await writing;
    await eventually('the second has been followed', () => follower.seen.length >= 2);
    await follower.stop();
    expect(follower.seen.map(textOf)).toEqual(['a', 'b']);
  });
});

describe('a cluster of three', () => {
  it(
    'R-LOCK-1, R-EVT-2: keeps fence, order and followers over kills of each of its servers',
    { timeout: 110_000 },
    async () => {
      await start(3);
      const link = await world.link({ servers: fixture.urls });
      const journal = await world.journal('cluster', { link, ackTimeoutMs: 1_000 });
      const followerLink = await world.link({ servers: fixture.urls.toReversed() });
      const follower = followInBackground(await world.journal('cluster', { link: followerLink }));
      let last = none;
      const texts = numbered('r', 90);
      for (const [index, text] of texts.entries()) {
        last = await resolveAppend(journal, text, last);
        if (index % 30 !== 10) continue;
        const victim = Math.floor(index / 30);
        await fixture.kill(victim);
        last = await resolveAppend(journal, `${text}-while-down`, last);
        await fixture.restart(victim);
      }
      const through = last;
      const all = await takeAll(journal.read({ shard, after: none, through }));
      const expected = texts.flatMap((text, index) => (index % 30 === 10 ? [text, `${text}-while-down`] : [text]));
      expect(all.map(textOf)).toEqual(expected);
      await eventually('all has been followed', () => follower.seen.length >= expected.length, 40_000);
      await follower.stop();
      expect(follower.seen.map(textOf)).toEqual(expected);
      const stale = { shard, body: bodyOf('zombie'), expectedLast: none, messageId: 'zombie' };
      expect(await journal.append(stale)).toEqual({ kind: 'conflict' });
    },
  );

  it('gives every client its own last write, whichever server it is connected to', async () => {
    await start(3);
    const clients: NatsJournal[] = [];
    for (const url of fixture.urls) {
      clients.push(await world.journal('reads', { link: await world.link({ servers: url }) }));
    }
    let last = none;
    for (const [index, text] of numbered('r', 90).entries()) {
      const writer = clients[index % 3] as NatsJournal;
      last = committedAt(
        await writer.append({ shard, body: bodyOf(text), expectedLast: last, messageId: `${shard}.${text}` }),
      );
      const entries = await Promise.all(clients.map((client) => client.readLast(shard)));
      expect(entries.map((entry) => entry?.sequence)).toEqual([last, last, last]);
    }
  });
});
