import { hostname } from 'node:os';

/** The host's name as a node id: what a node is called that nobody names. */
export function hostNodeId(): string {
  const name = hostname()
    .replaceAll(/[^A-Za-z0-9_-]/g, '-')
    .slice(0, 100);
  return /^[A-Za-z0-9]/.test(name) ? name : `node-${name}`;
}
