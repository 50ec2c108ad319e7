/** Where a value comes from: a file's path, a variable or a flag is named with it. */
export interface SettingSource {
  readonly kind: 'default' | 'file' | 'env' | 'flag';
  readonly name: string | null;
}

/** One setting in force. */
export interface Setting {
  readonly name: string;
  /** Undefined: nothing was said, and there is no fixed default. */
  readonly value: unknown;
  readonly source: SettingSource;
}

/** What each source says of one setting. */
export interface Candidates {
  readonly flag?: readonly [name: string, value: unknown];
  readonly env?: readonly [name: string, value: unknown];
  readonly file?: unknown;
}
