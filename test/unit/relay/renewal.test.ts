/** A new DTLS association takes over a channel (RFC 8842 §5): what holds until then, and what is still heard afterwards. */

import { describe, expect, it } from 'vitest';
import { PREVIOUS_CHANNEL_KEYS_LIFETIME_MS } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import type { RelayCore } from '../../../src/relay/harness.js';
import { clientHello, cookieOf } from '../../support/hello.js';
import { bytesOf, PEER, remoteKeys, room } from './room.js';
import { compound, protectControl, protectControlGcm, unprotectControl } from './sender.js';

const CONTROL_SSRC = 0x55667700;
const plain = compound(CONTROL_SSRC);
const NEW = { local: bytesOf(71, 30), remote: bytesOf(72, 30) };
const ELSEWHERE = { address: '192.0.2.99', port: 4_000 };
const HELLO = Uint8Array.of(22, 254, 253, 0);

function rekey(core: RelayCore): void {
  core.setChannelKeys(1, { profile: 1, local: Secret.copyOf(NEW.local), remote: Secret.copyOf(NEW.remote) });
}
const control = (core: RelayCore, keys: Uint8Array, index: number, now = 0) =>
  core.feed(1, protectControl(keys, plain, index), now).drop;

describe('keys of a new association', () => {
  it('are sent under at once, and what came under the old ones is heard as long as they live', () => {
    const { core } = room();
    expect(control(core, remoteKeys(1), 100)).toBeUndefined();
    rekey(core);
    core.sendControl(1, plain);
    const [sent] = core.take().outputs;
    expect(unprotectControl(NEW.local, sent!.bytes)).toMatchObject({ plain });
    for (const [keys, index] of [
      [remoteKeys(1), 101],
      [NEW.remote, 1],
      [remoteKeys(1), 102],
      [NEW.remote, 102],
      [remoteKeys(1), 103],
    ] as const) {
      expect(control(core, keys, index)).toBeUndefined();
    }
    expect(control(core, remoteKeys(1), 104, PREVIOUS_CHANNEL_KEYS_LIFETIME_MS - 1)).toBeUndefined();
    expect(control(core, remoteKeys(1), 105, PREVIOUS_CHANNEL_KEYS_LIFETIME_MS)).toBe('auth_failed');
    expect(control(core, NEW.remote, 106, PREVIOUS_CHANNEL_KEYS_LIFETIME_MS)).toBeUndefined();
  });

  it('replay across a rekey: what was heard under the old keys is not heard again, under either', () => {
    const { core } = room();
    const old = protectControl(remoteKeys(1), plain, 7);
    expect(core.feed(1, old, 0).drop).toBeUndefined();
    rekey(core);
    const before = core.stateHash();
    expect(core.feed(1, old, 0).drop).toBe('auth_failed');
    expect(core.stateHash()).toBe(before);
    const fresh = protectControl(NEW.remote, plain, 7);
    expect(core.feed(1, fresh, 0).drop).toBeUndefined();
    expect(core.feed(1, fresh, 0).drop).toBe('replayed');
  });

  it('may be of another profile', () => {
    const { core } = room();
    const gcm = { local: bytesOf(73, 28), remote: bytesOf(74, 28) };
    core.setChannelKeys(1, { profile: 7, local: Secret.copyOf(gcm.local), remote: Secret.copyOf(gcm.remote) });
    expect(core.feed(1, protectControlGcm(gcm.remote, plain, 1), 0).drop).toBeUndefined();
    expect(control(core, remoteKeys(1), 5)).toBeUndefined();
  });

  it('leave media as it is: it is not under them', () => {
    const { core, sender } = room();
    const packet = { isn: 10, full: true, word: 0xabcde011, trailing: 0 };
    expect(core.feed(1, sender.rtp({ ...packet, sequence: 10 }), 0).drop).toBeUndefined();
    core.awaitPeer(1);
    expect(core.feed(1, sender.rtp({ ...packet, sequence: 11 }), 0).drop).toBeUndefined();
    rekey(core);
    expect(core.feed(1, sender.rtp({ ...packet, sequence: 12 }), 0).drop).toBeUndefined();
    core.provePeer(1, PEER);
    expect(core.feed(1, sender.rtp({ ...packet, sequence: 13 }), 0).outputs).toHaveLength(2);
  });
});

describe('while another peer is awaited', () => {
  it('DTLS may come from anywhere and go anywhere; media and control only from the proven peer', () => {
    const { core, sender } = room();
    expect(core.feed(1, HELLO, 0, ELSEWHERE).drop).toBe('unknown_source');
    expect(core.sendDatagram(1, ELSEWHERE, HELLO)).toBe(false);
    core.awaitPeer(1);
    const [request] = core.feed(1, clientHello(), 0, ELSEWHERE).outputs;
    const bytes = clientHello(cookieOf(request!.bytes));
    expect(core.feed(1, bytes, 0, ELSEWHERE).events).toEqual([{ type: 'dtls', channel: 1, from: ELSEWHERE, bytes }]);
    expect(core.sendDatagram(1, ELSEWHERE, HELLO)).toBe(true);
    const media = sender.rtp({ isn: 10, full: true, word: 0xabcde011, trailing: 0, sequence: 10 });
    expect(core.feed(1, media, 0, ELSEWHERE).drop).toBe('unknown_source');
    expect(core.feed(1, protectControl(remoteKeys(1), plain, 1), 0, ELSEWHERE).drop).toBe('unknown_source');
    // Proven elsewhere, it is the stranger's turn to be refused.
    core.provePeer(1, ELSEWHERE);
    expect(core.feed(1, media, 0, PEER).drop).toBe('unknown_source');
    expect(core.feed(1, media, 0, ELSEWHERE).drop).toBeUndefined();
  });

  it('is not for a plain channel, nor one that is not open', () => {
    const { core } = room();
    core.openChannel({ channel: 9, conference: 1, member: 9, media: 'audio', transport: 'plain', peer: PEER });
    expect([core.awaitPeer(9), core.awaitPeer(99)]).toEqual([false, false]);
  });
});
