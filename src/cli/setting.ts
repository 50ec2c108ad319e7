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

/** How the settings of one part are picked from its sources. */
export interface SettingPicker {
  readonly pick: (name: string, candidates: Candidates) => Setting;
  /** A path of the configuration file, made absolute. */
  readonly inFileFolder: (path: string | undefined) => string | undefined;
  /** A path of a flag or a variable, made absolute. */
  readonly inWorkingFolder: (path: string | undefined) => string | undefined;
}
