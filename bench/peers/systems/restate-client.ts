import { Agent, request } from 'node:http';
import { serveLoad } from '../load-client.ts';
import { workloadInput } from '../payload.ts';

// The load client of Restate: `restate-client <port of its ingress>`. One HTTP request a task, which submits the workflow and waits for
// its result, over connections that are kept: Node's own client costs less than `fetch`.

const port = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true, maxSockets: 1_024 });

serveLoad({
  run: (number) => {
    const body = JSON.stringify(workloadInput(number));
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          agent,
          host: '127.0.0.1',
          port,
          method: 'POST',
          path: `/bench/task-${number}/run`,
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        },
        (answer) => {
          answer.resume();
          answer.on('error', reject);
          answer.on('end', () => {
            if (answer.statusCode === 200) resolve();
            else reject(new Error(`Restate answered ${answer.statusCode}`));
          });
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
  },
  close: async () => {
    agent.destroy();
  },
});
