/** A {@link Sink} into a file. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Sink } from './types.js';

/**
 * Makes (or empties) the file at the first byte, so that a source that never gave a picture leaves no empty file.
 * @param mode permission bits of a new file; recordings are decrypted media, so others may not read them by default
 * Throws what the file system throws: a full disk ends a recording loudly.
 */
export function openFileSink(path: string, mode = 0o600): Sink {
  let file: number | undefined;
  let closed = false;
  return {
    append(bytes) {
      if (closed) throw new Error('append after close');
      file ??= openSync(path, 'w', mode);
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    },
    close() {
      if (file !== undefined && !closed) closeSync(file);
      closed = true;
    },
  };
}
