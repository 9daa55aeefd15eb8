/** The clips that ship with the project (README.md in this folder tells how they were made). */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const VIDEO_CLIPS = ['testsrc2.h264', 'bars.h264', 'mandelbrot.h264'] as const;
export const AUDIO_CLIPS = ['tone.opus', 'noise.opus'] as const;
export type AssetName = (typeof VIDEO_CLIPS)[number] | (typeof AUDIO_CLIPS)[number];

/**
 * The package root, from the sources as from their compiled copy in dist/: the first folder upwards with a package.json.
 * Throws when there is none (a broken installation).
 */
export function packageRoot(from: string = import.meta.url): string {
  let folder = dirname(fileURLToPath(from));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('no package.json above the program: the installation is incomplete');
    folder = parent;
  }
  return folder;
}

/** The path of a clip; for a message or another program. */
export function assetPath(name: AssetName): string {
  return join(packageRoot(), 'src', 'endpoint', 'assets', name);
}

export function readAsset(name: AssetName): Uint8Array {
  return new Uint8Array(readFileSync(assetPath(name)));
}
