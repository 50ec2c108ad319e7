/** Chance, as the engine may know it. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A new id of 36 characters (UUID version 7: ordered by time of creation). */
  id(): string;
}
