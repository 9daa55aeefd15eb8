/** The reference endpoint as a library: dial a conference or be called into one, send and receive secured media. */
export { DEFAULT_ENGINE as DEFAULT_DTLS_ENGINE, type EngineName } from '../dtls/engines.js';
export { type AnsweringEndpoint, type AnswerOptions, listen } from './answer.js';
export { type Call, type CallEnd, type CallOptions, CallRefused, type CallStatus, call } from './call.js';
export type { KeyLogEntry, ReceivedMedia } from './channel-types.js';
export { openAudioSource, openVideoSource } from './media/source.js';
export type { AudioSource, VideoSource } from './media/types.js';
export type { AudioInput, DuePacket, VideoInput } from './pacer.js';
