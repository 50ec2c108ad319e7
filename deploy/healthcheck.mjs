// The HEALTHCHECK of the image: `node healthcheck.mjs [url]` ends with 0 when the address answers with 200, else with 1.
// Without an address it asks the health listener of a node, as its own settings say where that is. TLS is taken as it is: it
// asks this very container, and learns yes or no.
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

const { CABINET_HEALTH_PORT = '4281', CABINET_HEALTH_TLS_CERT = '' } = process.env;
const own = `${CABINET_HEALTH_TLS_CERT === '' ? 'http' : 'https'}://127.0.0.1:${CABINET_HEALTH_PORT}/readyz`;
const url = new URL(process.argv[2] ?? own);
const request = url.protocol === 'https:' ? httpsRequest : httpRequest;

const sent = request(url, { agent: false, timeout: 3_000, rejectUnauthorized: false }, (answer) => {
  answer.resume();
  process.exitCode = answer.statusCode === 200 ? 0 : 1;
});
sent.on('timeout', () => sent.destroy());
sent.on('error', () => {
  process.exitCode = 1;
});
sent.end();
