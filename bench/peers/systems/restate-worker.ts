import { createServer } from 'node:http2';
import { createEndpointHandler, workflow, type WorkflowContext } from '@restatedev/restate-sdk';
import { serveWorker } from '../load-client.ts';
import { stageNames, stageResult } from '../payload.ts';

// The worker of Restate: `restate-worker <its port> <url of Restate's admin>`. A workflow of five `ctx.run`, over HTTP/2 in both
// directions.

// Its SDK uses what Node has from version 22 on.
if (!('withResolvers' in Promise)) {
  Object.defineProperty(Promise, 'withResolvers', {
    value: <Value>() => {
      let resolve!: (value: Value) => void;
      let reject!: (reason: unknown) => void;
      const promise = new Promise<Value>((onResolve, onReject) => {
        resolve = onResolve;
        reject = onReject;
      });
      return { promise, resolve, reject };
    },
  });
}

const [, , portText = '', adminUrl = ''] = process.argv;

const bench = workflow({
  name: 'bench',
  handlers: {
    run: async (ctx: WorkflowContext, _input: unknown): Promise<unknown> => {
      const results: Record<string, unknown> = {};
      for (const stage of stageNames) results[stage] = await ctx.run(stage, driver);
      return results;
    },
  },
});

const server = createServer(createEndpointHandler({ services: [bench] }));
await new Promise<void>((resolve) => {
  server.listen(Number(portText), '127.0.0.1', resolve);
});
const known = await fetch(`${adminUrl}/services/bench`);
if (!known.ok) {
  const answer = await fetch(`${adminUrl}/deployments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ uri: `http://127.0.0.1:${portText}` }),
  });
  if (!answer.ok) throw new Error(`Restate refused the deployment: ${answer.status} ${await answer.text()}`);
}
serveWorker(async () => {
  server.close();
});

async function driver(): Promise<unknown> {
  return stageResult;
}
