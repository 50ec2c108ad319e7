import { describe, expect, it } from 'vitest';
import { readPrice, type PriceProblem } from './price.ts';

const read: readonly [
  value: string | number,
  declared: string | null,
  language: string | null,
  amount: number,
  currency: string,
][] = [
  ['1.234,56 €', null, null, 1_234.56, 'EUR'],
  ['$1,234.56', null, null, 1_234.56, 'USD'],
  ['1 234 Kč', null, null, 1_234, 'CZK'],
  ['1\u00a0234\u00a0567 Kč', null, 'cs', 1_234_567, 'CZK'],
  ['12,500 CHF', null, null, 12_500, 'CHF'],
  ["1'234.50 CHF", null, 'de-CH', 1_234.5, 'CHF'],
  ['1’234 Fr.', null, null, 1_234, 'CHF'],
  [1_234.56, 'EUR', null, 1_234.56, 'EUR'],
  [8_490_000, 'CZK', 'cs', 8_490_000, 'CZK'],
  ['8490000', 'CZK', null, 8_490_000, 'CZK'],
  ['1234.5600', 'USD', null, 1_234.56, 'USD'],
  ['1.250,- €', null, 'de', 1_250, 'EUR'],
  ['EUR 99,–', null, 'de', 99, 'EUR'],
  ['1.234 €', null, 'de', 1_234, 'EUR'],
  ['1.234 €', null, null, 1_234, 'EUR'],
  ['€1,234', null, 'en-IE', 1_234, 'EUR'],
  ['1.234.567 €', null, null, 1_234_567, 'EUR'],
  ['₹1,23,45,678.50', null, null, 12_345_678.5, 'INR'],
  ['1 234,50 zł', null, null, 1_234.5, 'PLN'],
  ['5 250 000 руб.', null, 'ru', 5_250_000, 'RUB'],
  ['￥８５，８００，０００', null, 'ja', 85_800_000, 'JPY'],
  ['38,500,000円', null, null, 38_500_000, 'JPY'],
  ['1 250 kr', null, 'sv', 1_250, 'SEK'],
  ['1.250 kr.', null, 'da', 1_250, 'DKK'],
  ['$2,400.00', null, 'en-CA', 2_400, 'CAD'],
  ['R$ 1.234,56', null, null, 1_234.56, 'BRL'],
  ['US$ 5', null, 'en-CA', 5, 'USD'],
  ['$5', 'AUD', null, 5, 'AUD'],
  ['KWD 1.250', null, 'en', 1.25, 'KWD'],
  ['KWD 1,250', null, 'en', 1_250, 'KWD'],
  ['1,250 TND', null, 'fr', 1.25, 'TND'],
  ['Price: £12,500 (incl. VAT)', null, null, 12_500, 'GBP'],
  ['1.200 € pro Monat', null, 'de', 1_200, 'EUR'],
];

const refused: readonly [
  value: string | number,
  declared: string | null,
  language: string | null,
  reason: PriceProblem,
][] = [
  ['', 'EUR', null, 'noAmount'],
  ['Preis auf Anfrage', 'EUR', 'de', 'noAmount'],
  ['1.234', 'USD', null, 'ambiguousAmount'],
  [1.234, 'EUR', null, 'ambiguousAmount'],
  ['$1.234', null, null, 'ambiguousAmount'],
  ['1,234 €', null, 'de', 'ambiguousAmount'],
  ['1,234 €', null, null, 'ambiguousAmount'],
  ['1.250 €', null, 'en', 'ambiguousAmount'],
  ['KWD 0,250', null, 'en', 'ambiguousAmount'],
  ['0,500 €', null, null, 'ambiguousAmount'],
  ['1.23.456 €', null, null, 'ambiguousAmount'],
  ['1.234,56,78 €', null, null, 'ambiguousAmount'],
  ['12 345 67 Kč', null, null, 'severalAmounts'],
  ['1234 567 Kč', null, null, 'ambiguousAmount'],
  ['100–200 €', null, null, 'severalAmounts'],
  ['€1,200 (25 €/m²)', null, null, 'severalAmounts'],
  ['$1.2M', null, null, 'ambiguousAmount'],
  ['1,5 млн руб.', null, 'ru', 'ambiguousAmount'],
  ['450k USD', null, null, 'ambiguousAmount'],
  ['120万円', null, 'ja', 'ambiguousAmount'],
  ['1234', null, null, 'noCurrency'],
  [1_234, null, null, 'noCurrency'],
  ['100 kr', null, 'en', 'ambiguousCurrency'],
  ['¥100', null, null, 'ambiguousCurrency'],
  ['-5 €', null, null, 'notPositive'],
  ['0', 'EUR', null, 'notPositive'],
  [0, 'EUR', null, 'notPositive'],
  [-3, 'EUR', null, 'notPositive'],
  ['12345678901234567 €', null, null, 'ambiguousAmount'],
];

describe('readPrice', () => {
  it.each(read)('reads %j, declared %j, on a page in %j', (value, declared, language, amount, currency) => {
    expect(readPrice(value, declared, language)).toEqual({ kind: 'price', price: { amount, currency } });
  });

  it.each(refused)('does not guess %j, declared %j, on a page in %j: %s', (value, declared, language, reason) => {
    expect(readPrice(value, declared, language)).toEqual({ kind: 'none', reason });
  });

  it('stays quick on a text of digits and separators only', () => {
    const start = performance.now();
    readPrice('1 '.repeat(500_000), 'EUR', null);
    readPrice('1.'.repeat(500_000), 'EUR', null);
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});
