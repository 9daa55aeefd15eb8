import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, readU16, toHex } from '../../../src/base/bytes.js';
import { CONFERENCE, room } from './room.js';

interface Vectors {
  readonly kek: string;
  readonly masterSalt: string;
  readonly spiWord: string;
  readonly switched: readonly { name: string; sink: number | null; in: string; out: string }[];
}
const vectors = JSON.parse(readFileSync('test/vectors/ekt-tag.json', 'utf8')) as Vectors;
const set = {
  spiWord: readU16(fromHex(vectors.spiWord), 0),
  kek: fromHex(vectors.kek),
  masterSalt: fromHex(vectors.masterSalt),
};

describe('switched packets of ekt-tag.json', () => {
  for (const [i, vector] of vectors.switched.entries()) {
    it(vector.name, () => {
      const bytes = fromHex(vector.in);
      const position = bytes[15]! >> 4;
      const sink = vector.sink ?? bytes[15]! & 0x0f;
      const payloadTypes = [{ payloadType: bytes[1]! & 0x7f, codec: 1 }];
      const { core } = room({ set, parameters: { payloadTypes } });
      core.setRoutes(CONFERENCE, 'audio', [{ source: 1, position, receiver: 2, sink }]);
      // A Short tag needs the key that the Full tag of the packet before it brings.
      if ((bytes.at(-1)! & 1) === 0) expect(core.feed(1, fromHex(vectors.switched[i - 1]!.in), 0).drop).toBeUndefined();
      const { drop, outputs } = core.feed(1, bytes, 1);
      expect(drop).toBeUndefined();
      expect(outputs.map((o) => [o.receiver, toHex(o.bytes)])).toEqual([[2, vector.out]]);
      core.close();
    });
  }
});
