import type { Invariant } from './invariant.ts';
import { acceptanceInvariants } from './invariants/acceptance.ts';
import { accountingInvariants } from './invariants/accounting.ts';
import { appendInvariants } from './invariants/appends.ts';
import { callInvariants } from './invariants/calls.ts';
import { effectInvariants } from './invariants/effects.ts';
import { feedInvariants } from './invariants/feed.ts';
import { journalFormInvariants } from './invariants/journal-form.ts';
import { ownershipInvariants } from './invariants/ownership.ts';
import { retryInvariants } from './invariants/retries.ts';
import { snapshotInvariants } from './invariants/snapshots.ts';
import { stageInvariants } from './invariants/stages.ts';

/** All invariants. An invariant of several sides has several rows. */
export const invariants: readonly Invariant[] = [
  ...journalFormInvariants,
  ...acceptanceInvariants,
  ...stageInvariants,
  ...effectInvariants,
  ...appendInvariants,
  ...ownershipInvariants,
  ...retryInvariants,
  ...snapshotInvariants,
  ...callInvariants,
  ...feedInvariants,
  ...accountingInvariants,
];
