import type { CardField, Coordinates, FieldOrigin, Price } from '../card.ts';

/** What a sample page is expected to give. */
export type SampleExpectation =
  | {
      readonly outcome: 'completed';
      readonly title: string | null;
      readonly price: Price | null;
      readonly address: string | null;
      readonly coordinates: Coordinates | null;
      readonly missing: readonly CardField[];
      /** How many photos the page names, and what becomes of them. */
      readonly photos: {
        readonly found: number;
        readonly kept: number;
        readonly duplicates: number;
        /** Codes of the rejected ones, in the page's order. */
        readonly rejected: readonly string[];
      };
      /** Where fields come from, when the sample is about that. */
      readonly foundIn?: Readonly<Partial<Record<CardField, FieldOrigin>>>;
      /** Some of its attributes. */
      readonly attributes?: Readonly<Record<string, string>>;
      readonly charset?: string;
      /** A part of a warning that it must give. */
      readonly warning?: string;
    }
  | { readonly outcome: 'deadLettered'; readonly stage: 'parse'; readonly code: string };

/** One sample page. */
export interface SamplePage {
  readonly file: string;
  /** What is special about it. */
  readonly about: string;
  readonly content: string | Uint8Array;
  readonly expect: SampleExpectation;
  /** Too big to keep: written when the samples are prepared. */
  readonly isGenerated?: true;
}

/** Photos that are all kept. */
export function allKept(count: number) {
  return { found: count, kept: count, duplicates: 0, rejected: [] };
}

/** A block of JSON-LD. `</` is escaped as sites do it, so that a string cannot end the block. */
export function jsonLd(value: unknown): string {
  const text = JSON.stringify(value, null, 2).replaceAll('</', String.raw`<\/`);
  return `<script type="application/ld+json">\n${text}\n</script>`;
}
