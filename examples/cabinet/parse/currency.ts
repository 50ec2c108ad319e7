// Signs that stand for one currency only. Longer ones first, so that `US$` is not read as `$`.
const certainSigns: readonly (readonly [sign: string, currency: string])[] = [
  ['US$', 'USD'],
  ['CA$', 'CAD'],
  ['C$', 'CAD'],
  ['A$', 'AUD'],
  ['AU$', 'AUD'],
  ['NZ$', 'NZD'],
  ['HK$', 'HKD'],
  ['NT$', 'TWD'],
  ['S$', 'SGD'],
  ['R$', 'BRL'],
  ['MX$', 'MXN'],
  ['€', 'EUR'],
  ['£', 'GBP'],
  ['₽', 'RUB'],
  ['руб', 'RUB'],
  ['₴', 'UAH'],
  ['грн', 'UAH'],
  ['₸', 'KZT'],
  ['Kč', 'CZK'],
  ['zł', 'PLN'],
  ['Ft', 'HUF'],
  ['лв', 'BGN'],
  ['₺', 'TRY'],
  ['₹', 'INR'],
  ['₩', 'KRW'],
  ['₫', 'VND'],
  ['฿', 'THB'],
  ['₪', 'ILS'],
  ['SFr', 'CHF'],
  ['Fr.', 'CHF'],
  ['円', 'JPY'],
  ['元', 'CNY'],
];

// Signs that several currencies share: the page's language or region decides, and without one only `$` has a default.
const sharedSigns: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  $: {
    US: 'USD',
    CA: 'CAD',
    AU: 'AUD',
    NZ: 'NZD',
    SG: 'SGD',
    HK: 'HKD',
    MX: 'MXN',
    AR: 'ARS',
    CL: 'CLP',
    CO: 'COP',
    '': 'USD',
  },
  kr: { sv: 'SEK', nb: 'NOK', nn: 'NOK', no: 'NOK', da: 'DKK', is: 'ISK' },
  '¥': { ja: 'JPY', zh: 'CNY', JP: 'JPY', CN: 'CNY' },
};

const knownCurrencies = new Set(Intl.supportedValuesOf('currency'));

/** The currency code, when it is one of ISO 4217's; else null. */
export function parseCurrencyCode(code: string | null): string | null {
  const upper = code?.trim().toUpperCase() ?? '';
  return knownCurrencies.has(upper) ? upper : null;
}

/** Digits after the decimal point of a currency's amounts: 2 for EUR, 0 for JPY, 3 for KWD. */
export function minorDigitsOf(currency: string): number {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  return format.resolvedOptions().maximumFractionDigits ?? 2;
}

const commaCurrencies = new Set(
  'ARS BGN BRL BYN CLP COP CZK DKK EUR HUF IDR ISK KZT NOK PLN RON RSD RUB SEK TRY UAH VND'.split(' '),
);

/** The decimal separator that readers expect: by the page's language, else by the currency's home. */
export function decimalSeparatorOf(language: string | null, currency: string): '.' | ',' {
  try {
    if (language !== null) {
      const parts = new Intl.NumberFormat(language, { numberingSystem: 'latn' }).formatToParts(1.5);
      return parts.some((part) => part.type === 'decimal' && part.value === ',') ? ',' : '.';
    }
  } catch {
    // An invalid language tag says nothing.
  }
  return commaCurrencies.has(currency) ? ',' : '.';
}

/** What a price text says of its currency. `ambiguous` names the sign that several currencies share. */
export type WrittenCurrency =
  | { readonly kind: 'known'; readonly currency: string }
  | { readonly kind: 'ambiguous'; readonly sign: string }
  | { readonly kind: 'none' };

/**
 * The currency that is written in a price text, as a code or as a sign.
 *
 * @param language - the page's language tag such as `en-CA`, for signs that several currencies share
 */
export function readWrittenCurrency(text: string, language: string | null): WrittenCurrency {
  for (const word of text.match(/(?<![\p{L}])[A-Za-z]{3}(?![\p{L}])/gu) ?? []) {
    const code = word === word.toUpperCase() ? parseCurrencyCode(word) : null;
    if (code !== null) return { kind: 'known', currency: code };
  }
  const certain = certainSigns.find(([sign]) => holdsSign(text, sign));
  if (certain !== undefined) return { kind: 'known', currency: certain[1] };
  const sign = Object.keys(sharedSigns).find((each) => holdsSign(text, each));
  if (sign === undefined) return { kind: 'none' };
  const [tongue = '', ...rest] = (language ?? '').split('-');
  const region = rest.find((part) => /^[A-Za-z]{2}$/.test(part))?.toUpperCase() ?? '';
  const shared = sharedSigns[sign] ?? {};
  const currency = shared[region] ?? shared[tongue.toLowerCase()];
  return currency === undefined ? { kind: 'ambiguous', sign } : { kind: 'known', currency };
}

/** A sign of letters must stand as a word of its own: `Ft` is no part of `Loft`. Chinese characters stand next to others. */
function holdsSign(text: string, sign: string): boolean {
  const escaped = sign.replaceAll(/[$.]/g, String.raw`\$&`);
  const left = /^[\p{Script=Latin}\p{Script=Cyrillic}]/u.test(sign) ? String.raw`(?<!\p{L})` : '';
  const right = /[\p{Script=Latin}\p{Script=Cyrillic}]$/u.test(sign) ? String.raw`(?!\p{L})` : '';
  return new RegExp(`${left}${escaped}${right}`, 'u').test(text);
}
