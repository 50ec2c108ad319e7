import type { ProcessDraft } from './process-draft.ts';

/** A rolling restart was asked for: begins, or follows the one that goes on. */
export function requestRoll(draft: ProcessDraft): void {
  if (draft.isStopping) {
    draft.log('warn', {}, 'a rolling restart is not begun: the nodes stop');
    return;
  }
  if (draft.roll !== null) {
    draft.roll = { ...draft.roll, again: true };
    draft.log('info', {}, 'another rolling restart will follow the one that goes on');
    return;
  }
  beginRoll(draft);
}

/** Goes on with a roll as far as it can: the next node is drained only when every other one is ready. */
export function advanceRoll(draft: ProcessDraft): void {
  for (let roll = draft.roll; roll !== null; roll = draft.roll) {
    if (roll.current !== null) {
      if (draft.slot(roll.current).phase.kind !== 'ready') return;
      draft.roll = { ...roll, current: null };
      continue;
    }
    const [next, ...left] = roll.left;
    if (next === undefined) {
      draft.roll = null;
      draft.log('info', {}, 'the rolling restart is done');
      if (roll.again) beginRoll(draft);
      continue;
    }
    const isDown = draft.slot(next).phase.kind === 'down';
    const others = draft.slots.filter((slot) => slot.index !== next && slot.phase.kind !== 'down');
    if (others.some((slot) => slot.phase.kind !== 'ready')) return;
    if (!isDown && draft.slot(next).phase.kind !== 'ready') return;
    draft.roll = { ...roll, left, current: next };
    draft.log('info', { node: draft.slot(next).nodeId, left: left.length }, 'a node is started anew in its turn');
    if (isDown) draft.start(next);
    else draft.drain(next, 'roll');
    return;
  }
}

/** Ends a roll at the node that it could not bring back. */
export function stopRoll(draft: ProcessDraft, why: string): void {
  const { roll } = draft;
  if (roll === null || roll.current === null) return;
  const left = roll.left.map((index) => draft.slot(index).nodeId);
  const fields = { node: draft.slot(roll.current).nodeId, why, left };
  draft.log('error', fields, 'the rolling restart has stopped: a node does not come back; SIGUSR2 begins another');
  draft.roll = null;
}

function beginRoll(draft: ProcessDraft): void {
  // What an earlier roll could not bring back comes first.
  const isDown = (index: number): boolean => draft.slot(index).phase.kind === 'down';
  const all = draft.slots.map(({ index }) => index);
  draft.roll = {
    left: [...all.filter(isDown), ...all.filter((index) => !isDown(index))],
    current: null,
    again: false,
  };
  draft.log('info', { nodes: all.length }, 'a rolling restart begins');
}
