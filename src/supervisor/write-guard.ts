import { EngineError } from '../core/errors.ts';
import { watchIntrinsics } from '../core/intrinsics.ts';

/**
 * A check for each message that the node would store: false for ever once a driver has changed the built-in functions by which the
 * engine decides and writes. What such a process stores would be nonsense, for its own tasks and for every node after it.
 */
export function writeGuard(onCorrupted: (error: EngineError) => void): () => boolean {
  const findChange = watchIntrinsics();
  let isIntact = true;
  return () => {
    const changed = isIntact ? findChange() : null;
    if (changed === null) return isIntact;
    isIntact = false;
    onCorrupted(
      new EngineError('PROCESS_CORRUPTED', `${changed} was changed while the node ran; it writes nothing more`, {
        hint: 'a driver, or a library that was loaded late, has replaced it: load such a library before the node starts',
      }),
    );
    return false;
  };
}
