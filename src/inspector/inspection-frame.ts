/** One message of an inspection, ready to be written as JSON. */
export interface InspectionFrame {
  readonly type: string;
  readonly sessionId: string;
  readonly [field: string]: unknown;
}

/** The protocols that an inspection can be told in. */
export const inspectionFormats = ['stately', 'engine'] as const;

/** `stately`: the messages of `@statelyai/inspect`; `engine`: our own, in the shape of XState 6. */
export type InspectionFormat = (typeof inspectionFormats)[number];
