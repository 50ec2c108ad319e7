import { readFile } from 'node:fs/promises';
import { EngineError } from '../../core/errors.ts';
import type { PageFiles } from '../page-files.ts';

const pagePattern = /^\/inspect\/([A-Za-z0-9][A-Za-z0-9_-]{0,127})\/stately$/;
const scriptPath = '/inspect/bridge.js';
const stylePath = '/inspect/bridge.css';
const folder = new URL('../../inspector/bridge/', import.meta.url);

const isOff =
  'The bridge to a hosted viewer is off: nothing of a task may leave this server. To turn it on, set inspector.hostedViewerUrl, ' +
  'such as https://stately.ai/inspect. `cabinet inspect <task>` and the page of the task work without it.\n';

/**
 * The pages of the server and, beside them, the bridge: a page that shows a hosted viewer in a frame and hands it the messages of one
 * task's inspection. Without a viewer's URL its address says that it is off.
 *
 * @param hostedViewerUrl - of the viewer; undefined: the bridge is off
 * @throws EngineError `CONFIG_INVALID` for a URL that no browser should be sent to
 */
export async function withBridge(page: PageFiles, hostedViewerUrl: string | undefined): Promise<PageFiles> {
  const bridge = hostedViewerUrl === undefined ? null : await readBridge(parseViewerUrl(hostedViewerUrl));
  return {
    answer: (request, path, headers) => {
      const taskId = pagePattern.exec(path)?.[1];
      const isOwn = taskId !== undefined || path === scriptPath || path === stylePath;
      if (!isOwn || (request.method !== 'GET' && request.method !== 'HEAD')) return page.answer(request, path, headers);
      if (bridge === null) return text(isOff, 'text/plain', headers, 404);
      if (path === scriptPath) return text(bridge.script, 'text/javascript', headers);
      if (path === stylePath) return text(bridge.style, 'text/css', headers);
      headers.set('content-security-policy', policyFor(bridge.viewer));
      return text(htmlOf(taskId ?? '', bridge.viewer), 'text/html', headers);
    },
  };
}

async function readBridge(
  viewer: URL,
): Promise<{ readonly viewer: URL; readonly script: string; readonly style: string }> {
  const [script, style] = await Promise.all(
    ['bridge.js', 'bridge.css'].map((name) => readFile(new URL(name, folder), 'utf8')),
  );
  return { viewer, script: script ?? '', style: style ?? '' };
}

/** @throws EngineError `CONFIG_INVALID` */
export function parseViewerUrl(value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : null;
  const isLocal = url !== null && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  const isGood = url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isLocal));
  if (isGood && url.username === '' && url.password === '' && url.hash === '') return url;
  throw new EngineError('CONFIG_INVALID', 'inspector.hostedViewerUrl is no URL of a viewer', {
    field: 'inspector.hostedViewerUrl',
    limit: 'an https URL without a password or fragment, or an http one of this machine',
    got: value,
  });
}

/** Frames of that origin alone, and nothing else from anywhere else. */
function policyFor({ origin }: URL): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    `frame-src ${origin}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "object-src 'none'",
  ].join('; ');
}

function text(body: string, type: string, headers: Headers, status = 200): Response {
  headers.set('content-type', `${type}; charset=utf-8`);
  return new Response(body, { status, headers });
}

function htmlOf(taskId: string, viewer: URL): string {
  const url = escapeHtml(viewer.href);
  const origin = escapeHtml(viewer.origin);
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>${taskId} in a hosted viewer</title>
    <link rel="stylesheet" href="${stylePath}" />
    <script type="module" src="${scriptPath}"></script>
  </head>
  <body data-task-id="${taskId}" data-viewer-url="${url}">
    <header>
      <h1>Task ${taskId} in the viewer of ${origin}</h1>
      <p>
        The viewer is a page of ${origin}. This tab gives it the task's id, the machine with the names of its stages, every event
        with its time, attempt, failure text, who asked and why, and of payloads their size and hash. Values of payloads are not
        sent. The server itself sends nothing anywhere. Nothing is given before you open the viewer.
      </p>
      <p><button type="button" id="open">Open the viewer</button> <span id="status" role="status">Nothing was sent.</span></p>
    </header>
    <main id="place"></main>
  </body>
</html>
`;
}

function escapeHtml(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
