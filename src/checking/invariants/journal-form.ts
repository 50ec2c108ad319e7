import type { Breach, Invariant } from '../invariant.ts';
import type { Story } from '../story.ts';

interface ShardChain {
  readonly epoch: number;
  readonly batch: number;
  readonly sequence: number;
}

/** What the journal must be before anything can be read off it: whole, readable, of rising epochs, each begun by its claim. */
export const journalFormInvariants: readonly Invariant[] = [
  {
    id: 'J1',
    title: 'a message of a shard follows the one that it was conditioned on, and no batch of an epoch is missing',
    needs: ['journal'],
    *check({ history }) {
      const chains = new Map<number, ShardChain>();
      for (const { shard, sequence, previous, commit } of history.entries) {
        const known = chains.get(shard);
        if (previous !== undefined && previous !== (known?.sequence ?? 0)) {
          yield {
            says: `shard ${shard}: message ${sequence} follows ${previous}, where ${known?.sequence ?? 0} stands before it`,
            sequences: [...(known === undefined ? [] : [known.sequence]), sequence],
          };
        }
        if (commit === null) continue;
        const { epoch, batch } = commit;
        const isSameEpoch = known?.epoch === epoch;
        if (isSameEpoch && batch > known.batch + 1) {
          yield {
            says: `shard ${shard}: batch ${batch} of epoch ${epoch} comes after ${known.batch}`,
            sequences: [known.sequence, sequence],
          };
        }
        chains.set(shard, { epoch, batch: isSameEpoch ? Math.max(batch, known.batch) : batch, sequence });
      }
    },
  },
  {
    id: 'J2',
    title: 'every message of the journal is a commit that can be read',
    needs: ['journal'],
    *check({ history }) {
      for (const { sequence, commit, problem } of history.entries) {
        if (commit === null) yield { says: `message ${sequence} cannot be read: ${problem}`, sequences: [sequence] };
      }
    },
  },
  {
    id: 'I7',
    title: 'all replicas hold the same messages up to the last one that they have in common',
    needs: ['replicas'],
    *check({ history }) {
      const [first, ...others] = history.replicas ?? [];
      if (first === undefined) return;
      const lastOfFirst = first.digests.at(-1)?.[0] ?? 0;
      const known = new Map(first.digests);
      for (const { replica, digests } of others) {
        const through = Math.min(lastOfFirst, digests.at(-1)?.[0] ?? 0);
        const own = new Map(digests);
        const sequences = new Set([...known.keys(), ...own.keys()]);
        for (const sequence of sequences) {
          if (sequence > through || known.get(sequence) === own.get(sequence)) continue;
          yield { says: `replica ${replica} differs from ${first.replica} at ${sequence}`, sequences: [sequence] };
        }
      }
    },
  },
  {
    id: 'I15',
    title: 'the epochs of a shard rise from claim to claim, and each has one node',
    needs: ['journal'],
    *check({ claims }) {
      const newest = new Map<number, (typeof claims)[number]>();
      for (const claim of claims) {
        const known = newest.get(claim.shard);
        if (known !== undefined && claim.epoch <= known.epoch) {
          yield {
            says: `shard ${claim.shard}: ${claim.node} claims epoch ${claim.epoch} after ${known.node} had ${known.epoch}`,
            sequences: [known.sequence, claim.sequence],
          };
        } else newest.set(claim.shard, claim);
      }
    },
  },
  {
    id: 'I16',
    title: 'an epoch begins with its claim, and nothing of an older one follows it',
    needs: ['journal'],
    check: checkEpochs,
  },
  {
    id: 'I40',
    title: 'an append that lands late or twice makes no second commit',
    needs: ['journal'],
    *check(story) {
      for (const { shard, sequence, commit } of story.history.entries) {
        if (commit === null) continue;
        const { epoch, batch } = commit;
        const first = story.batchOf(shard, epoch, batch);
        if (first === undefined || first.sequence === sequence) continue;
        yield {
          says: `shard ${shard}: batch ${batch} of epoch ${epoch} stands in the journal twice`,
          sequences: [first.sequence, sequence],
        };
      }
    },
  },
];

function* checkEpochs({ history }: Story): Iterable<Breach> {
  const current = new Map<number, { readonly epoch: number; readonly sequence: number }>();
  for (const { shard, sequence, commit } of history.entries) {
    if (commit === null) continue;
    const { epoch, batch, owner, records } = commit;
    const known = current.get(shard);
    if (owner !== undefined) {
      const isProper = owner.epoch === epoch && batch === 1 && records.length === 0;
      if (!isProper) yield { says: `shard ${shard}: message ${sequence} is no proper claim`, sequences: [sequence] };
      if (known === undefined || epoch > known.epoch) current.set(shard, { epoch, sequence });
      continue;
    }
    if (known?.epoch === epoch) continue;
    const isZombie = known !== undefined && epoch < known.epoch;
    yield {
      says: isZombie
        ? `shard ${shard}: a commit of epoch ${epoch} follows the claim of epoch ${known.epoch}`
        : `shard ${shard}: a commit of epoch ${epoch} has no claim before it`,
      sequences: [...(known === undefined ? [] : [known.sequence]), sequence],
    };
  }
}
