// What browsers of a language fall back to, after the HTML standard's table of locales (§13.2.3.2, step 9). The first that
// reads the bytes without a fault is taken.
const charsetsByLanguage: Readonly<Record<string, readonly string[]>> = {
  ar: ['windows-1256'],
  be: ['windows-1251'],
  bg: ['windows-1251'],
  cs: ['windows-1250'],
  el: ['windows-1253'],
  he: ['windows-1255'],
  hr: ['windows-1250'],
  hu: ['windows-1250'],
  ja: ['euc-jp', 'shift_jis'],
  kk: ['windows-1251'],
  ko: ['euc-kr'],
  lt: ['windows-1257'],
  lv: ['windows-1257'],
  mk: ['windows-1251'],
  pl: ['windows-1250'],
  ro: ['windows-1250'],
  ru: ['windows-1251'],
  sk: ['windows-1250'],
  sl: ['windows-1250'],
  sr: ['windows-1251'],
  th: ['windows-874'],
  tr: ['windows-1254'],
  uk: ['windows-1251'],
  vi: ['windows-1258'],
  'zh-hk': ['big5'],
  'zh-tw': ['big5'],
  zh: ['gb18030'],
};

/** From this mean length of a run of non-ASCII bytes on, the page is not written in Latin letters. */
export const foreignRunLength = 2.5;
/** How much of a page is looked at. */
export const detectionBytes = 65_536;

/**
 * The likeliest charset of bytes that are not UTF-8: by the page's language, else by the look of the bytes.
 *
 * In Western text an accented letter stands alone among ASCII; in Cyrillic and East Asian text non-ASCII bytes come in runs.
 */
export function detectLegacyCharset(bytes: Uint8Array): string {
  const start = Buffer.from(bytes.subarray(0, detectionBytes)).toString('latin1');
  const language = /<html\b[^>]*?\blang\s*=\s*["']?([a-z]{2,3}(?:-[a-z]+)?)/i.exec(start)?.[1]?.toLowerCase();
  const named = language === undefined ? undefined : charsetsByLanguage[language];
  const candidates = named ?? charsetsByLanguage[language?.slice(0, 2) ?? ''] ?? charsetsByLook(start);
  return candidates.find((name) => isReadableAs(bytes, name)) ?? 'windows-1252';
}

function charsetsByLook(start: string): readonly string[] {
  const runs = start.match(/[\u0080-\u00ff]+/g) ?? [];
  const meanLength = runs.reduce((sum, run) => sum + run.length, 0) / Math.max(runs.length, 1);
  if (meanLength < foreignRunLength) return ['windows-1252'];
  // Kana in EUC-JP start with A4 or A5, in Shift_JIS with 82 or 83: the bytes that no other text repeats so often.
  const total = runs.reduce((sum, run) => sum + run.length, 0);
  if (count(start, /[\u00a4\u00a5][\u00a1-\u00f6]/g) * 2 > total * 0.3) return ['euc-jp', 'gb18030'];
  if (count(start, /[\u0082\u0083][\u0040-\u00f1]/g) * 2 > total * 0.3) return ['shift_jis', 'gb18030'];
  // Lower-case Cyrillic is E0 to FF in windows-1251 and C0 to DF in KOI8-R, and most letters are lower case.
  const upperHalf = count(start, /[\u00e0-\u00ff]/g);
  const lowerHalf = count(start, /[\u00c0-\u00df]/g);
  if (upperHalf + lowerHalf > total * 0.8) return upperHalf >= lowerHalf ? ['windows-1251'] : ['koi8-r'];
  return ['gb18030', 'euc-kr', 'big5', 'windows-1251'];
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

/** Whether the bytes have no fault in that charset. */
export function isReadableAs(bytes: Uint8Array, charset: string): boolean {
  try {
    new TextDecoder(charset, { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
