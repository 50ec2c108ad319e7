import type { Tool } from './tool.ts';
import { clusterTools } from './tools/cluster.ts';
import { deadLetterTools } from './tools/dead-letters.ts';
import { explainFailure } from './tools/explain-failure.ts';
import { nodeOrderTools } from './tools/node-orders.ts';
import { pipelineTools } from './tools/pipelines.ts';
import { redriveDeadLetters } from './tools/redrive-dead-letters.ts';
import { submitTask } from './tools/submit-task.ts';
import { taskCommandTools } from './tools/task-commands.ts';
import { taskTools } from './tools/tasks.ts';

/** All tools, those that only look first. */
export const tools: readonly Tool[] = [
  ...taskTools,
  explainFailure,
  ...deadLetterTools,
  ...pipelineTools,
  ...clusterTools,
  submitTask,
  ...taskCommandTools,
  redriveDeadLetters,
  ...nodeOrderTools,
];
