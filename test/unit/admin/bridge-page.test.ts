import { afterEach, describe, expect, it } from 'vitest';
import { parseViewerUrl } from '../../../src/admin/inspect/bridge-page.ts';
import { type AdminWorld, startAdminWorld } from '../../support/admin-kit.ts';

let world: AdminWorld | undefined;

afterEach(async () => {
  await world?.stop();
  world = undefined;
});

describe('the bridge to a hosted viewer', () => {
  it('is off by default: 404 that says how to turn it on, for the page and for what belongs to it', async () => {
    world = await startAdminWorld();
    for (const path of ['/inspect/t-1/stately', '/inspect/bridge.js', '/inspect/bridge.css']) {
      const answer = await world.ask(path, { token: null });
      expect(answer.status).toBe(404);
      expect(answer.text).toContain('set inspector.hostedViewerUrl');
    }
  });

  it('has a policy of its own that frames that origin alone, and no data but the id and the URL', async () => {
    world = await startAdminWorld({ hostedViewerUrl: 'https://stately.ai/inspect?a=1&b="2"' });
    const page = await world.ask('/inspect/t-1/stately', { token: null });
    expect(page.status).toBe(200);
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain('frame-src https://stately.ai;');
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    expect(page.text).toContain('data-viewer-url="https://stately.ai/inspect?a=1&amp;b=%222%22"');
    expect(page.text).toContain('Values of payloads are not');
    expect((await world.ask('/inspect/bridge.js', { token: null })).headers['content-type']).toContain(
      'text/javascript',
    );
    const others = await world.ask('/', { token: null });
    expect(others.headers['content-security-policy']).not.toContain('frame-src');
  });

  it('NOT_FOUND: has no page for an id that is none', async () => {
    world = await startAdminWorld({ hostedViewerUrl: 'https://stately.ai/inspect' });
    const tooLong = 'x'.repeat(129);
    for (const id of ['-a', tooLong]) expect((await world.ask(`/inspect/${id}/stately`)).errorCode).toBe('NOT_FOUND');
  });

  it.each([
    'stately.ai',
    'http://stately.ai/inspect',
    'https://me:secret@stately.ai/',
    'javascript:alert(1)',
    'https://a/#b',
  ])('CONFIG_INVALID: does not start with %s', async (hostedViewerUrl) => {
    await expect(startAdminWorld({ hostedViewerUrl })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      field: 'inspector.hostedViewerUrl',
    });
  });

  it('may be a viewer of this machine', () => {
    expect(parseViewerUrl('http://127.0.0.1:3000/inspect').origin).toBe('http://127.0.0.1:3000');
  });
});
