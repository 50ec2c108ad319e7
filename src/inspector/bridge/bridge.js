// Hands the messages of one task's inspection to a viewer of another origin, in a frame of this page. To that origin alone.

/** Most messages that are kept for a viewer that loads late or anew; the oldest go first, but never the first one. */
const maximumKeptMessages = 2_000;

const { taskId, viewerUrl } = document.body.dataset;
const viewerOrigin = new URL(viewerUrl).origin;
const status = document.querySelector('#status');
const button = document.querySelector('#open');

button.addEventListener('click', open, { once: true });

function open() {
  button.disabled = true;
  const kept = [];
  let sentCount = 0;
  let isConnected = false;
  let state = 'waits for the viewer';

  const frame = document.createElement('iframe');
  frame.title = 'viewer';
  frame.setAttribute('sandbox', 'allow-scripts allow-same-origin');
  frame.referrerPolicy = 'no-referrer';

  const tell = () => {
    status.textContent = `${sentCount} messages given to ${viewerOrigin}; ${state}.`;
  };
  const give = (message) => {
    frame.contentWindow.postMessage(message, viewerOrigin);
    sentCount += 1;
  };

  window.addEventListener('message', (event) => {
    // Another frame or another origin has no say here.
    if (event.source !== frame.contentWindow || event.origin !== viewerOrigin) return;
    if (event.data?.type !== '@statelyai.connected') return;
    isConnected = true;
    state = 'connected';
    for (const message of kept) give(message);
    tell();
  });

  const url = new URL(`/api/inspect/${taskId}?format=stately&from=start`, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url, ['cabinet.inspect.v1']);
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(data);
    kept.push(message);
    if (kept.length > maximumKeptMessages) kept.splice(1, 1);
    if (isConnected) give(message);
    tell();
  });
  socket.addEventListener('close', ({ code, reason }) => {
    state =
      code === 1000
        ? 'the task has ended'
        : `the stream ended: ${reason || 'sign in and open this page again'} (${code})`;
    tell();
  });

  frame.src = viewerUrl;
  document.querySelector('#place').append(frame);
  tell();
}
