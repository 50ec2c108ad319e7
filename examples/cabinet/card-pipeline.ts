import { definePipeline } from '../../src/pipeline/define-pipeline.ts';
import {
  cardInputSchema,
  cleanupResultSchema,
  exportResultSchema,
  parsedCardSchema,
  photosResultSchema,
  publicationSchema,
} from './card.ts';
import type { CabinetPorts } from './cabinet-ports.ts';
import { cleanupDriver } from './cleanup/cleanup-driver.ts';
import { exportDriver } from './export/export-driver.ts';
import { createFeedStore } from './export/feed-store.ts';
import { parseDriver } from './parse/parse-driver.ts';
import { photosDriver } from './photos/photos-driver.ts';
import { createWorkFolder } from './photos/work-folder.ts';
import { publishDriver } from './publish/publish-driver.ts';
import { createBoardClient } from './publish/board-client.ts';
import { createResourceReader } from './resources/resource-reader.ts';

/** What of the card pipeline may differ from one installation to another. */
export interface CardPipelineOptions {
  /** First retry of every stage; the others grow from it. 500 when left out; a demo takes less. */
  readonly initialDelayMs?: number;
  /** Longest wait before a retry of `publish`; 30,000 when left out. */
  readonly maxDelayMs?: number;
  /** Attempts at one time on a node, of the stages that use a processor core; 2 when left out. */
  readonly heavyConcurrency?: number;
}

/** The pipeline from a listing page to a published, exported card: Parse, Photos, Publish, Export, Cleanup. */
export function createCardPipeline(options: CardPipelineOptions = {}) {
  const { initialDelayMs = 500, maxDelayMs = 30_000, heavyConcurrency = 2 } = options;
  return definePipeline({
    name: 'card',
    version: 1,
    input: cardInputSchema,
    stages: (pipeline) =>
      pipeline
        .stage('parse', {
          output: parsedCardSchema,
          driver: parseDriver,
          retry: { maxAttempts: 5, initialDelayMs },
          timeoutMs: 30_000,
          concurrency: heavyConcurrency,
        })
        .stage('photos', {
          output: photosResultSchema,
          driver: photosDriver,
          retry: { maxAttempts: 5, initialDelayMs },
          timeoutMs: 300_000,
          heartbeatTimeoutMs: 60_000,
          concurrency: heavyConcurrency,
          skip: { reason: 'the page has no photos', when: ({ outputs }) => outputs.parse.photos.length === 0 },
        })
        .stage('publish', {
          output: publicationSchema,
          driver: publishDriver,
          // The board is the stage that fails most and the one whose failure a person notices.
          retry: { maxAttempts: 30, initialDelayMs, maxDelayMs },
          timeoutMs: 15_000,
        })
        .stage('export', {
          output: exportResultSchema,
          driver: exportDriver,
          retry: { maxAttempts: 8, initialDelayMs },
          timeoutMs: 60_000,
        })
        .stage('cleanup', {
          output: cleanupResultSchema,
          driver: cleanupDriver,
          retry: { maxAttempts: 5, initialDelayMs },
          timeoutMs: 30_000,
        }),
  });
}

/** Where the card pipeline finds and leaves things. */
export interface CabinetPortsOptions {
  /** The folder that `file:` sources are read from. */
  readonly pagesDir: string;
  /** Files of cards under way; shared by all nodes. */
  readonly workDir: string;
  /** The feeds and their photos; shared by all nodes, on a file system with hard links. */
  readonly feedDir: string;
  /** The board's root, such as `http://127.0.0.1:8080`. */
  readonly boardUrl: string;
  /** Lets sources and photos be on private hosts; refused when left out. */
  readonly allowPrivateHosts?: boolean;
}

/** The node's `ports` for the card pipeline. */
export function createCabinetPorts(options: CabinetPortsOptions): { readonly cabinet: CabinetPorts } {
  const { pagesDir, workDir, feedDir, boardUrl, allowPrivateHosts = false } = options;
  return {
    cabinet: {
      resources: createResourceReader({ pagesDir, allowPrivateHosts }),
      work: createWorkFolder(workDir),
      board: createBoardClient(boardUrl),
      feed: createFeedStore(feedDir),
    },
  };
}
