import { request } from 'node:http';
import type { Readable } from 'node:stream';

const requestTimeoutMs = 60_000;

/** An engine's answer of another status than 2xx, or an error within an answer. */
export class DockerApiError extends Error {
  override readonly name = 'DockerApiError';
}

/** One request to the engine of a socket; gives the answer's text. */
export function askDocker(
  socketPath: string,
  call: { readonly method: 'GET' | 'POST' | 'DELETE'; readonly path: string; readonly body?: Readable },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const { method, path, body } = call;
    const headers = body === undefined ? {} : { 'content-type': 'application/x-tar' };
    const sent = request({ socketPath, method, path, headers, agent: false, timeout: requestTimeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 300) resolve(text);
        else reject(new DockerApiError(`${method} ${path}: ${statusCode} ${text.trim()}`));
      });
    });
    sent.on('timeout', () => sent.destroy(new DockerApiError(`${method} ${path}: no answer`)));
    sent.on('error', reject);
    if (body === undefined) sent.end();
    else body.on('error', reject).pipe(sent);
  });
}
