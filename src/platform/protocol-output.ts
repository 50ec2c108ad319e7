import { Writable } from 'node:stream';

/** A process's stdout that one protocol has for itself. */
export interface ProtocolOutput {
  /** What is written here, and nothing else, comes out of stdout. */
  readonly stream: Writable;
  /** Gives stdout back. */
  release(): void;
}

/**
 * Keeps stdout for a protocol: whatever else the process writes there, such as a `console.log` in a user's configuration file, comes
 * out of stderr until it is given back.
 */
export function claimOutput(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): ProtocolOutput {
  const write = stdout.write.bind(stdout);
  const stream = new Writable({
    // Bytes and text both: what it is given goes out as it is.
    decodeStrings: false,
    write: (chunk: Buffer | string, encoding, callback) => {
      // An error of stdout itself is its own listener's.
      write(chunk, encoding, (error) => callback(error ?? null));
    },
  });
  stdout.write = stderr.write.bind(stderr);
  return {
    stream,
    release: () => {
      stdout.write = write;
    },
  };
}
