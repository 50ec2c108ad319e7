import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const folder = resolve(import.meta.dirname, '../../../console');

/** Ways to make markup of a text, or to run one: data of a task must never have one. */
const forbidden =
  /innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|\beval\(|new Function|srcdoc|createContextualFragment|DOMParser|javascript:/;
const foreign = /(?:https?:)?\/\/(?!www\.w3\.org\/2000\/svg)[a-z0-9-]+\.[a-z]/i;

describe("the console's sources", () => {
  it('write all data as text, and name no other host', async () => {
    const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(tsx?|css|html|svg)$/.test(name));
    expect(names.length).toBeGreaterThan(30);
    for (const name of names) {
      const text = await readFile(join(folder, name), 'utf8');
      expect(forbidden.exec(text)?.[0], name).toBeUndefined();
      expect(foreign.exec(text)?.[0], name).toBeUndefined();
    }
  });

  it('have no inline script or style in the HTML file', async () => {
    const html = await readFile(join(folder, 'index.html'), 'utf8');
    expect(html).not.toMatch(/<style|style=|\son[a-z]+=|<script(?![^>]*\ssrc=)/i);
  });
});
