import { expect, it } from 'vitest';
import { replay } from '../../../src/actors/evolve.ts';
import { decodeSnapshot } from '../../../src/actors/snapshot-codec.ts';
import type { TaskState } from '../../../src/actors/task-state.ts';
import { decodeCommit } from '../../../src/core/commit-codec.ts';
import type { TaskId } from '../../../src/core/ids.ts';
import { PipelineRegistry } from '../../../src/pipeline/registry.ts';
import { listingPipeline } from '../../support/a-task.ts';

// Written by the engine before it knew handovers and clearances: attempt 2 of `parse` was interrupted, attempt 3 runs.
const snapshotBytes = [
  '3gARpmZvcm1hdAGldmFsdWWtcGFyc2UucnVubmluZ6djb250cm9shqdhdHRlbXB0A6thdHRlbXB0QmFzZQCtaW50ZXJydXB0aW9ucwGpZW50ZX',
  'JlZEF0zQPopWR1ZUF0wKdwYXVzaW5nwqZ0YXNrSWSjdC0xqHBpcGVsaW5lp2xpc3RpbmendmVyc2lvbgKjc2VxBaVpbnB1dIGkanNvboGmcGhv',
  'dG9zA6lpbnB1dEhhc2jZQDhkMjQ3MjQ1ZjBjOGJhMWZmNjM2NGU2YmNjY2U0OTdhYzliYWI3NGQwYzUzZjQ3YTgwZDMyMzc0ZjAwNjRjYzWnb3',
  'V0cHV0c4CrY2hlY2twb2ludHOAqGNvbW1hbmRzkYOpY29tbWFuZElkqGMtc3VibWl0pG5hbWWmc3VibWl0onRvrXBhcnNlLnJ1bm5pbmemc3Rh',
  'Z2VzkYalc3RhZ2WlcGFyc2Wmc3RhdHVzp3J1bm5pbmeoYXR0ZW1wdHMDrWludGVycnVwdGlvbnMBqXN0YXJ0ZWRBdM0D6KdlbmRlZEF0wKdmYW',
  'lsdXJlhKVjbGFzc6lyZXRyeWFibGWkY29kZahIVFRQXzUwM6RuYW1lpUVycm9yp21lc3NhZ2WkYnVzeatzdWJtaXR0ZWRBdM0D6Kl1cGRhdGVk',
  'QXTNBBCnZW5kZWRBdMA=',
].join('');
const commitBytes = [
  'haZmb3JtYXQBpWVwb2NoAaViYXRjaAKiYXTNB9CncmVjb3Jkc90AAAAFh6R0YXNro3QtMaNzZXEBomF0zQPopWV2ZW50iaR0eXBlrnRhc2suc3',
  'VibWl0dGVkqHBpcGVsaW5lp2xpc3RpbmendmVyc2lvbgKlaW5wdXSBpGpzb26BpnBob3RvcwOpaW5wdXRIYXNo2UA4ZDI0NzI0NWYwYzhiYTFm',
  'ZjYzNjRlNmJjY2NlNDk3YWM5YmFiNzRkMGM1M2Y0N2E4MGQzMjM3NGYwMDY0Y2M1pm9yaWdpboGpY29tbWFuZElkqGMtc3VibWl0pG5leHSlcG',
  'Fyc2Wnc2tpcHBlZJClc3RhcnTDonRvrXBhcnNlLnJ1bm5pbmeocGlwZWxpbmWnbGlzdGluZ6d2ZXJzaW9uAoekdGFza6N0LTGjc2VxAqJhdM0D',
  '8qVldmVudIWkdHlwZaxzdGFnZS5mYWlsZWSlc3RhZ2WlcGFyc2WnYXR0ZW1wdAGnZmFpbHVyZYSlY2xhc3OpcmV0cnlhYmxlpGNvZGWoSFRUUF',
  '81MDOkbmFtZaVFcnJvcqdtZXNzYWdlpGJ1c3moZGVjaXNpb26DpGtpbmSlcmV0cnmlZHVlQXTNBlanZGVsYXlNc80CZKJ0b7BwYXJzZS5iYWNr',
  'aW5nT2ZmqHBpcGVsaW5lp2xpc3RpbmendmVyc2lvbgKHpHRhc2ujdC0xo3NlcQOiYXTNBlalZXZlbnSEpHR5cGWpcmV0cnkuZHVlpXN0YWdlpX',
  'BhcnNlp2F0dGVtcHQCpXN0YXJ0w6J0b61wYXJzZS5ydW5uaW5nqHBpcGVsaW5lp2xpc3RpbmendmVyc2lvbgKHpHRhc2ujdC0xo3NlcQSiYXTN',
  'BAalZXZlbnSFpHR5cGWtb3duZXIuY2hhbmdlZKVzdGFnZaVwYXJzZadhdHRlbXB0AqVlcG9jaAGoZGVjaXNpb26BpGtpbmSlcmVydW6idG+scG',
  'Fyc2UucXVldWVkqHBpcGVsaW5lp2xpc3RpbmendmVyc2lvbgKHpHRhc2ujdC0xo3NlcQWiYXTNBBClZXZlbnSDpHR5cGWtc3RhZ2Uuc3RhcnRl',
  'ZKVzdGFnZaVwYXJzZadhdHRlbXB0A6J0b61wYXJzZS5ydW5uaW5nqHBpcGVsaW5lp2xpc3RpbmendmVyc2lvbgI=',
].join('');

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
const control = { attempt: 3, attemptBase: 0, interruptions: 1, clearances: 0, handovers: 0, pausing: false };
const stages = [{ stage: 'parse', status: 'running', attempts: 3, interruptions: 1, handovers: 0 }];

it('R-CORE-3: a snapshot of before handovers were counted is read, with none', () => {
  const state = decodeSnapshot('t-1' as TaskId, bytesOf(snapshotBytes), new PipelineRegistry([listingPipeline]));
  expect(state).toMatchObject({ machine: { value: 'parse.running', control }, stages });
});

it('R-CORE-1: a journal of before handovers were counted is replayed to the state of its snapshot: each change of owner a loss', () => {
  const { records } = decodeCommit(bytesOf(commitBytes));
  expect(records.map(({ event }) => event.type)).toContain('owner.changed');
  let state: TaskState | null = null;
  for (const record of records) state = replay({ definition: listingPipeline, state, record, dedupWindowSize: 32 });
  expect(state).toEqual(
    decodeSnapshot('t-1' as TaskId, bytesOf(snapshotBytes), new PipelineRegistry([listingPipeline])),
  );
});
