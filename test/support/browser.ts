import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core';
import { findChromium } from '../../scripts/fetch-chromium.ts';

/** A page in a real browser, with what it did that no page of ours may do. */
export interface WatchedPage {
  readonly page: Page;
  /** Requests that went elsewhere than to the server. */
  readonly foreignRequests: string[];
  /** Errors in the console, violations of the Content-Security-Policy among them, and exceptions that nobody caught. */
  readonly complaints: string[];
  close(): Promise<void>;
}

/** What a browser says of an answer that is an error: the tests that make one expect it. */
const failedAnswer = /^Failed to load resource/;

/**
 * Opens a page of its own browser, with an empty profile. Requests to other hosts are noted and go nowhere.
 *
 * @throws Error when there is no Chromium, with what to do
 */
export async function openPage(url: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const found = findChromium({ mayInstall: false });
  if (found.kind === 'missing') throw new Error(`${found.reason}; npm run fetch-chromium`);
  const profile = await mkdtemp(join(tmpdir(), 'cabinet-browser-'));
  const context: BrowserContext = await chromium.launchPersistentContext(profile, {
    executablePath: found.path,
    headless: true,
    viewport: { width: 1_360, height: 860 },
    permissions: ['clipboard-read', 'clipboard-write'],
    ...options,
    args: [
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // The browser's own sandbox does not work for root.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ],
  });
  const foreignRequests: string[] = [];
  const complaints: string[] = [];
  await context.route(
    (address) => !address.href.startsWith(`${url}/`) && address.protocol !== 'data:',
    (route) => {
      foreignRequests.push(route.request().url());
      return route.abort();
    },
  );
  const page = context.pages()[0] ?? (await context.newPage());
  page.on('console', (message) => {
    if (message.type() === 'error' && !failedAnswer.test(message.text())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  return {
    page,
    foreignRequests,
    complaints,
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Logs in with a token; resolves when the first screen is there. */
export async function logIn(page: Page, url: string, token: string): Promise<void> {
  await page.goto(url);
  await page.getByLabel('Access token').fill(token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
}
