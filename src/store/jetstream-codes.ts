/** Error codes of JetStream (`err_code`) that the stores decide by. */
export const jetStreamCodes = {
  messageNotFound: 10_037,
  notEnabledForAccount: 10_039,
  streamNameInUse: 10_058,
  streamNotFound: 10_059,
  /** The subject's last sequence differs from the expected one. */
  wrongLastSequence: 10_071,
  notEnabled: 10_076,
  /** The same message id is still in process. */
  idInProcess: 10_158,
  /** Another conditional write of the same subject is in process; says nothing about who will have won. */
  writeInProcess: 10_164,
  /** An atomic batch with a message id that the stream has within its duplicate window. */
  batchHasDuplicate: 10_201,
} as const;
