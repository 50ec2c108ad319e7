import { describe, expect, it } from 'vitest';
import { parseOptions, UsageError } from '../../../bench/options.ts';

describe('options of the bench', () => {
  it('measures throughput, three times, on one server when nothing is said', () => {
    expect(parseOptions([])).toMatchObject({
      mode: 'throughput',
      runs: 3,
      sync: 'default',
      replicas: 1,
      hasFloor: false,
    });
  });

  it('has the floor in its own mode, and in another one on demand', () => {
    expect(parseOptions(['floor'])?.hasFloor).toBe(true);
    expect(parseOptions(['throughput', '--floor'])?.hasFloor).toBe(true);
  });

  it('reads lists of numbers', () => {
    expect(parseOptions(['scale', '--nodes', '1,2,4', '--payload=100,500000'])).toMatchObject({
      nodes: [1, 2, 4],
      payloadBytes: [100, 500_000],
    });
  });

  it('gives the arguments of one side of a comparison without the comparison', () => {
    expect(parseOptions(['latency', '--against', 'HEAD~3', '--tasks', '5'])).toMatchObject({
      against: 'HEAD~3',
      args: ['latency', '--tasks', '5'],
    });
    expect(parseOptions(['--against=v0.1.0', '--json'])?.args).toEqual(['--json']);
  });

  it.each([
    [['thruput'], 'no such mode: thruput'],
    [['latency', 'idle'], 'no such mode: latency idle'],
    [['--sync', 'sometimes'], '--sync must be default or always'],
    [['--replicas', '2'], '--replicas must be 1 or 3'],
    [['--runs', '1,2'], '--runs takes one number'],
    [['console', '--restart'], '--restart needs a --rate'],
    [['--tasks', '0'], "--tasks must be a whole number over 0, not '0'"],
    [['--shards', '8,x'], "--shards must be a whole number over 0, not 'x'"],
    [['--frobnicate'], '--frobnicate'],
  ])('refuses %j with a UsageError that says why', (args, why) => {
    const parse = (): unknown => parseOptions(args);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(why);
  });

  it('gives nothing where help is asked for', () => {
    expect(parseOptions(['--help'])).toBeNull();
  });
});
