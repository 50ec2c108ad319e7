import { chaosPipeline } from './chaos-pipeline.ts';
import { poisonPipeline } from './poison-pipeline.ts';

/** Every pipeline of the scenarios: what a supervised node runs, and what a verdict replays. */
export const pipelines = [chaosPipeline, poisonPipeline] as const;
