import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { FatalError } from '../../../src/core/driver-errors.ts';

const privateRanges: readonly (readonly [address: string, prefix: number, family: 'ipv4' | 'ipv6'])[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
  ['::', 127, 'ipv6'],
  ['64:ff9b::', 96, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
];

const privateAddresses = new BlockList();
for (const [network, prefix, family] of privateRanges) privateAddresses.addSubnet(network, prefix, family);

/** Whether an IP address is this machine's, a private network's or nobody's. Sees through IPv4 written as IPv6. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return true;
  return privateAddresses.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/**
 * Refuses a URL whose host is inside: a page from the web must not make this machine read its own network.
 *
 * The name is asked once more by the request itself, so a name server that changes its answer in between gets through;
 * where that matters, put a filtering proxy in front.
 *
 * @throws FatalError `SOURCE_NOT_ALLOWED`; what the name server says when it does not know the name
 */
export async function refusePrivateHost(url: URL): Promise<void> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(host) === 0 ? await lookup(host, { all: true }) : [{ address: host }];
  const inside = addresses.find(({ address }) => isPrivateAddress(address));
  if (inside === undefined) return;
  throw new FatalError(`${url.origin} is a private address (${inside.address}), which pages may not name`, {
    code: 'SOURCE_NOT_ALLOWED',
  });
}
