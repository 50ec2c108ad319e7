import type { Price } from '../card.ts';
import { decimalSeparatorOf, minorDigitsOf, readWrittenCurrency } from './currency.ts';

/** A price, or why there is none: what could mean two amounts is never guessed. */
export type PriceReading =
  { readonly kind: 'price'; readonly price: Price } | { readonly kind: 'none'; readonly reason: PriceProblem };

/** Why a text gives no price. */
export type PriceProblem =
  'noAmount' | 'severalAmounts' | 'ambiguousAmount' | 'noCurrency' | 'ambiguousCurrency' | 'notPositive';

/** Longest text that is taken for a price, in characters. */
export const maximumPriceLength = 200;
/** Largest believable amount; above it the text is something else, such as a telephone number. */
export const maximumAmount = 1e13;

// "1.2M", "1,5 млн", "3 Mio": an amount in other units, which looks like a small one.
const multiplier =
  /\d\s*(?:k|m|mm|bn|b|mio|mln|mil|mrd|tis|tys|tsd|million|thousand|billion|lakhs?|crores?|cr|млн|тыс|млрд)(?!\p{L})|\d\s*[億万萬亿]/iu;
// One number: digits with separators between them. Spaces count only before three digits, so "3 rooms 2 baths" stays two.
const number = /[-−–]?\s?\d+(?:[.,'’]\d+| \d{3}(?!\d))*/gu;
// "1250,-", "1.250.–", "1250,--": no decimals.
const emptyDecimals = /(?<=\d)[.,]\s?[-–—]{1,2}(?!\d)/gu;

/**
 * Reads a price as people and sites write it.
 *
 * @param value - what the page gives as price: text, or a JSON number
 * @param declared - the ISO code that the page gives beside it, or null
 * @param language - the page's language tag, for signs that several currencies share
 */
export function readPrice(value: string | number, declared: string | null, language: string | null): PriceReading {
  if (typeof value === 'number') return readNumber(value, declared);
  const text = value.normalize('NFKC').slice(0, maximumPriceLength).replaceAll(emptyDecimals, '');
  const written = readWrittenCurrency(text, language);
  // The declared code is exact; a sign beside it such as `$` is only its short form.
  const currency = declared ?? (written.kind === 'known' ? written.currency : null);
  const numbers = (text.match(number) ?? []).map((found) => found.trim());
  const [only] = numbers;
  if (only === undefined) return none('noAmount');
  if (numbers.length > 1) return none('severalAmounts');
  if (multiplier.test(text)) return none('ambiguousAmount');
  if (currency === null) return none(written.kind === 'ambiguous' ? 'ambiguousCurrency' : 'noCurrency');
  if (/^[-−–]/u.test(only)) return none('notPositive');
  const amount = readAmount(only, {
    minorDigits: minorDigitsOf(currency),
    decimalSeparator: decimalSeparatorOf(language, currency),
    isMachineForm: written.kind === 'none',
  });
  return amount === null ? none('ambiguousAmount') : checkAmount(amount, currency);
}

function readNumber(value: number, declared: string | null): PriceReading {
  if (declared === null) return none('noCurrency');
  // 1.234 as a number is what a site makes of "1.234": in a currency of two decimals it may well have been 1234.
  const decimals = /\.(\d+)$/.exec(String(value))?.[1]?.length ?? 0;
  if (decimals === 3 && minorDigitsOf(declared) < 3) return none('ambiguousAmount');
  return checkAmount(value, declared);
}

function checkAmount(amount: number, currency: string): PriceReading {
  if (!(amount > 0)) return none('notPositive');
  if (amount > maximumAmount) return none('ambiguousAmount');
  return { kind: 'price', price: { amount, currency } };
}

/** What decides between a group of three digits and three decimals. */
export interface NumberHabits {
  /** Decimals of the currency: three digits after the only separator cannot be decimals of euros. */
  readonly minorDigits: number;
  /** The decimal separator of the page's language, or of the currency's home. */
  readonly decimalSeparator: string;
  /** No currency stands in the text, so it may be schema.org's form, in which `.` is the decimal point. */
  readonly isMachineForm: boolean;
}

/** The amount of one number with separators, or null when it could mean two. */
export function readAmount(text: string, habits: NumberHabits): number | null {
  const plain = text.replaceAll(/[ '’]/gu, '');
  if (plain !== text && !isGrouped(text.replaceAll(/[ '’]/gu, ' ').replace(/[.,]\d+$/, ''), ' ')) return null;
  const separators = plain.match(/[.,]/g) ?? [];
  const decimal = separators.at(-1);
  if (decimal === undefined) return Number(plain);
  if (new Set(separators).size === 2) {
    if (separators.filter((each) => each === decimal).length > 1) return null;
    const [whole = '', fraction = ''] = plain.split(decimal);
    return isGrouped(whole, decimal === '.' ? ',' : '.')
      ? Number(`${whole.replaceAll(/[.,]/g, '')}.${fraction}`)
      : null;
  }
  if (separators.length > 1) return isGrouped(plain, decimal) ? Number(plain.replaceAll(decimal, '')) : null;
  const [whole = '', fraction = ''] = plain.split(decimal);
  if (fraction.length !== 3) {
    if (fraction.length > 3 && !habits.isMachineForm) return null;
    return Number(`${whole}.${fraction}`);
  }
  const isDecimal = decimal === (habits.isMachineForm && decimal === '.' ? '.' : habits.decimalSeparator);
  if (isDecimal) return habits.minorDigits >= 3 ? Number(`${whole}.${fraction}`) : null;
  // Spaces or apostrophes group already, so a point or comma that groups too has no reading.
  return plain === text && /^[1-9]\d{0,2}$/.test(whole) ? Number(`${whole}${fraction}`) : null;
}

/** Groups of three, or India's twos before the last three. */
function isGrouped(whole: string, separator: string): boolean {
  const groups = whole.split(separator);
  const [first = '', ...rest] = groups;
  if (!/^\d{1,3}$/.test(first) || rest.at(-1)?.length !== 3) return false;
  if (rest.every((group) => group.length === 3)) return true;
  return separator === ',' && rest.slice(0, -1).every((group) => group.length === 2);
}

function none(reason: PriceProblem): PriceReading {
  return { kind: 'none', reason };
}
