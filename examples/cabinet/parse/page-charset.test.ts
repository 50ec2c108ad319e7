import { describe, expect, it } from 'vitest';
import { encodeText } from '../drawing/legacy-encoding.ts';
import { decodePage } from './page-charset.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);
const page = (head: string, body: string) => `<html${head}<body>${body}</body></html>`;

describe('decodePage', () => {
  it('believes a byte order mark before all else', () => {
    const bytes = Buffer.concat([
      Buffer.from([0xff, 0xfe]),
      Buffer.from(page('><meta charset="utf-8">', 'Ž'), 'utf16le'),
    ]);
    const { text, charset } = decodePage(bytes, 'text/html; charset=iso-8859-1');
    expect(charset).toEqual({ name: 'utf-16le', from: 'bom' });
    expect(text).toContain('Ž');
  });

  it('believes the HTTP header before the meta tag', () => {
    const bytes = encodeText(page('><meta charset="windows-1252">', 'Привет'), 'windows-1251');
    const { text, charset } = decodePage(bytes, 'text/html; charset="windows-1251"');
    expect(charset).toEqual({ name: 'windows-1251', from: 'header' });
    expect(text).toContain('Привет');
  });

  it.each([
    '<meta charset=windows-1250>',
    '<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=windows-1250">',
  ])('reads %s', (meta) => {
    const { text, charset } = decodePage(encodeText(page(`>${meta}`, 'Žluťoučký kůň'), 'windows-1250'), null);
    expect(charset).toEqual({ name: 'windows-1250', from: 'meta' });
    expect(text).toContain('Žluťoučký kůň');
  });

  it.each([
    ['windows-1251', ' lang="ru">', 'Дом у реки, тихое место'],
    ['windows-1251', '>', 'Дом у реки, тихое место и лес рядом'],
    ['koi8-r', '>', 'Дом у реки, тихое место и лес рядом'],
    ['windows-1252', '>', 'Café à louer près de la forêt'],
    ['windows-1250', ' lang="cs">', 'Žluťoučký kůň'],
    ['shift_jis', ' lang="ja">', '京都の町家、改装済み'],
    ['shift_jis', '>', 'これはとてもいいいえです。ありがとうございます。'],
    ['euc-jp', ' lang="ja">', '京都の町家、改装済み'],
    ['euc-kr', ' lang="ko">', '서울 아파트 매매'],
    ['gb18030', ' lang="zh-CN">', '北京市中心公寓出售'],
    ['big5', ' lang="zh-TW">', '台北市中心公寓'],
  ])('finds %s in a page%s that declares UTF-8 and is not', (charset, head, words) => {
    const bytes = encodeText(page(`${head}<meta charset="utf-8">`, words), charset);
    const decoded = decodePage(bytes, 'text/html; charset=utf-8');
    expect(decoded.charset).toEqual({ name: charset, from: 'detected' });
    expect(decoded.text).toContain(words);
    expect(decoded.warning).toBe(`the page declares utf-8, but its bytes are ${charset}`);
  });

  it('takes UTF-8 for what it is when another charset is declared', () => {
    const decoded = decodePage(utf8(page('><meta charset="iso-8859-1">', 'é')), null);
    expect(decoded).toMatchObject({
      charset: { name: 'utf-8', from: 'detected' },
      warning: expect.stringContaining('windows-1252'),
    });
  });

  it('ignores a charset that does not exist', () => {
    expect(decodePage(utf8('<p>Grüße</p>'), 'text/html; charset=klingon').charset).toEqual({
      name: 'utf-8',
      from: 'detected',
    });
  });

  it('never throws, whatever the bytes are', () => {
    for (let seed = 0; seed < 256; seed += 1) {
      const bytes = Uint8Array.from({ length: 300 }, (_, index) => (seed * 31 + index * index * 7) % 256);
      expect(typeof decodePage(bytes, `text/html; charset=${['utf-8', 'shift_jis', 'big5', 'x'][seed % 4]}`).text).toBe(
        'string',
      );
    }
  });
});
