/** Largest answer of a tool, as JSON in bytes. An agent reads all of it, and pays for it. */
export const maximumAnswerBytes = 256 * 1024;
/** Largest message from the agent in bytes: an input and what is around it. */
export const maximumMessageBytes = 4 * 1024 * 1024;
/** Calls that run at one time; more are answered `OVERLOADED`. */
export const maximumCallsInFlight = 16;
/** Rows of a page when nothing is said, and most of them. */
export const defaultRows = 25;
export const maximumRows = 100;
/** Records of a page of history when nothing is said, and most of them. */
export const defaultRecords = 50;
export const maximumRecords = 200;
/** Largest payload that is shown when nothing is said, and at all, in bytes. */
export const defaultShownBytes = 16 * 1024;
export const maximumShownBytes = 64 * 1024;
/** Most dead letters that are read to be grouped or counted. */
export const maximumCounted = 10_000;
/** Most groups of dead letters of one answer. */
export const maximumGroups = 50;
/** Most dead letters that one call redrives. */
export const maximumRedriven = 1_000;
/** Longest message of a failure in a list, in characters. */
export const maximumListedMessage = 300;
/** Most pipelines, nodes and shards of one answer. */
export const maximumListed = 1_000;
/** Most shards that are not where they should be of one answer. */
export const maximumUnsettledShards = 100;
/** Most failed attempts that an explanation names. */
export const maximumExplainedAttempts = 20;
