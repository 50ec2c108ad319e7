import { configRanges } from '../core/config.ts';
import { contentHash } from '../core/hash.ts';
import type { NodeId, ShardId } from '../core/ids.ts';
import type { NodeLease } from '../ports/leases.ts';

/** One life of a node: a process that starts anew under the same name is another one. */
export interface MemberIdentity {
  readonly nodeId: NodeId;
  readonly incarnation: string;
}

/** A node of the cluster, as its lease tells of it. */
export interface Member extends MemberIdentity {
  /** Its share of the work against the other members' capacities: a whole number from 1. */
  readonly capacity: number;
  /** It hands over what it has and takes nothing new. */
  readonly draining: boolean;
  /** It keeps what it has and takes nothing new. */
  readonly cordoned: boolean;
  /** Shards that it could not open and leaves to others; left out when there is none. */
  readonly declines?: readonly ShardId[];
}

/** A lease as it was read; what an older node's lease does not tell has a default. */
export type ObservedLease = Pick<NodeLease, 'nodeId' | 'incarnation' | 'draining'> & {
  readonly startedAt?: number | undefined;
  /** 1 when left out or not a whole number from 1; at most {@link maximumCapacity} of it counts. */
  readonly capacity?: number | undefined;
  readonly cordoned?: boolean | undefined;
  readonly declines?: readonly ShardId[] | undefined;
};

/** The leases that a store listed. May be stale. */
export interface LeaseList {
  readonly leases: readonly ObservedLease[];
  /** The store's position that the list stands for, when it tells one: a list of a lower position than one seen before is ignored. */
  readonly revision?: number | undefined;
}

/** Who belongs to the cluster, as one node knows it. */
export interface MembershipView {
  /** Grows by one with each change, from 0 for {@link emptyView}. Counts this node's views: compare nodes by {@link membersFingerprint}. */
  readonly number: number;
  /** One for each node id, in order of node id. */
  readonly members: readonly Member[];
  /** {@link memberKey} of members that the last list without a position did not show. */
  readonly missing: readonly string[];
  /** {@link memberKey} of those that left, oldest first, at most {@link maximumRemoved}: they never come back. */
  readonly removed: readonly string[];
  /** Highest position of a list that was taken in. */
  readonly revision: number;
}

/** Most capacity that a lease can claim: one that cannot be must not keep the others from placing. */
export const maximumCapacity = configRanges.capacity.most;

/** Removed incarnations that a view remembers. A list so stale that it shows an older one does not occur. */
export const maximumRemoved = 1_024;

/** What a node knows before it has read any lease. */
export const emptyView: MembershipView = { number: 0, members: [], missing: [], removed: [], revision: 0 };

/**
 * The view after a list of leases was read. Pure; the same object when nothing changed.
 *
 * An incarnation whose lease is gone has left for ever: what is listed of it later is an old answer, or a process that slept
 * through its lease and has to come back under a new incarnation. So nobody is removed on an old answer: a list with a position
 * is told from an older one by it; from a list without one a member must be absent twice in a row, and a list that shows an
 * incarnation that has left is old, and counts for no absence.
 */
export function nextView(view: MembershipView, list: LeaseList): MembershipView {
  const revision = list.revision ?? view.revision;
  if (revision < view.revision) return view;
  const removed = new Set(view.removed);
  const known = new Set(view.members.map((member) => memberKey(member)));
  const byNode = new Map<NodeId, Member>();
  const current = list.leases.filter((lease) => !removed.has(memberKey(lease)));
  for (const lease of current.toSorted((left, right) => compareLives(known, left, right))) {
    byNode.set(lease.nodeId, memberOf(lease));
  }

  const absent = view.members.filter(({ nodeId }) => !byNode.has(nodeId));
  const isOld = list.revision === undefined && current.length < list.leases.length;
  const kept = absent.filter(
    (member) => isOld || (list.revision === undefined && !view.missing.includes(memberKey(member))),
  );
  for (const member of kept) byNode.set(member.nodeId, member);
  const missing = isOld ? view.missing : kept.map((member) => memberKey(member));

  const members = [...byNode.values()].toSorted((left, right) => compareText(left.nodeId, right.nodeId));
  if (isSame(members, view.members)) {
    const isUnchanged = revision === view.revision && missing.join() === view.missing.join();
    return isUnchanged ? view : { ...view, missing, revision };
  }
  const present = new Set(members.map((member) => memberKey(member)));
  const left = [...known].filter((key) => !present.has(key));
  return {
    number: view.number + 1,
    members,
    missing,
    removed: [...view.removed, ...left].slice(-maximumRemoved),
    revision,
  };
}

/** The name of one life of a node, for sets and maps. */
export function memberKey({ nodeId, incarnation }: MemberIdentity): string {
  return `${nodeId}/${incarnation}`;
}

/** Equal for equal members, whatever node computes it: what nodes compare to know that they see the same cluster. */
export function membersFingerprint(members: readonly Member[]): string {
  const sorted = members.toSorted((left, right) => compareText(memberKey(left), memberKey(right)));
  return contentHash(sorted.map((member) => ({ ...member }))).slice(0, 16);
}

function memberOf(lease: ObservedLease): Member {
  const { nodeId, incarnation, draining, capacity = 1, cordoned = false, declines = [] } = lease;
  return {
    nodeId,
    incarnation,
    capacity: Number.isSafeInteger(capacity) && capacity >= 1 ? Math.min(capacity, maximumCapacity) : 1,
    draining,
    cordoned,
    ...(declines.length === 0 ? {} : { declines }),
  };
}

/** Two lives of one node in one list: the one not known before is the newer, then the one that started later. */
function compareLives(known: ReadonlySet<string>, left: ObservedLease, right: ObservedLease): number {
  const byNews = Number(known.has(memberKey(right))) - Number(known.has(memberKey(left)));
  const byStart = (left.startedAt ?? 0) - (right.startedAt ?? 0);
  return byNews || byStart || compareText(left.incarnation, right.incarnation);
}

function isSame(left: readonly Member[], right: readonly Member[]): boolean {
  return left.length === right.length && left.every((member, index) => isSameMember(member, right[index]));
}

function isSameMember(left: Member, right: Member | undefined): boolean {
  return (
    right !== undefined &&
    memberKey(left) === memberKey(right) &&
    left.capacity === right.capacity &&
    left.draining === right.draining &&
    left.cordoned === right.cordoned &&
    (left.declines ?? []).join() === (right.declines ?? []).join()
  );
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
