/** TIP control packets (WIRE.md 4): types, parser and writer. Formats only: no clock, no keys' meaning, no state. */
export { parseTip, type TipParseReason } from './tip-parse.js';
export * from './tip-types.js';
export { writeTip } from './tip-write.js';
