import { describe, expect, it } from 'vitest';
import { nodeTable } from '../../../src/cli/cluster-text.ts';
import { plainPaint } from '../../../src/cli/terminal.ts';
import type { ClusterNodeRow } from '../../../src/client.ts';

function rowOf(changes: object): string {
  const node = {
    nodeId: 'n-1',
    status: 'up',
    capacity: 1,
    owned: 4,
    desired: 4,
    least: 4,
    most: 5,
    handingOver: 0,
    failing: 0,
    loopLagMs: 2,
    incarnation: 'i-1',
    stages: null,
    openBreakers: null,
    openBreakerCount: null,
    ...changes,
  } as unknown as ClusterNodeRow;
  return nodeTable([node], { paint: plainPaint, width: undefined }).split('\n')[1]?.replaceAll(/ +/g, ' ') ?? '';
}

const ports = (...names: readonly string[]) => names.map((port) => ({ port, probeAt: null }));

describe('the table of nodes', () => {
  it('has the stages that run and wait, and the ports that fail', () => {
    const stages = { running: 3, limit: 256, waiting: 7, suspectsWaiting: 2 };
    expect(rowOf({ stages, openBreakers: ports('board', 'mail'), openBreakerCount: 2 })).toContain(
      ' 3/256 7 (2 suspect) board mail 2ms ',
    );
  });

  it('says how many ports more fail than catch the eye, and that none does', () => {
    const stages = { running: 0, limit: 256, waiting: 0, suspectsWaiting: 0 };
    expect(rowOf({ stages, openBreakers: ports('a', 'b', 'c', 'd'), openBreakerCount: 40 })).toContain(' a b c +37 ');
    expect(rowOf({ stages, openBreakers: [], openBreakerCount: 0 })).toContain(' 0/256 0 none ');
  });

  it('says nothing of a node that is down, or too old to tell', () => {
    expect(rowOf({})).toContain(' - - - 2ms ');
  });
});
