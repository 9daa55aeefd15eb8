/** Every state of both roles against every type of handshake message: only the one whose turn it is moves anything. */
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import { ClientHandshake } from '../../../src/dtls/werift/client.js';
import { DEFAULT_TUNING, type Handshake, type Outgoing, type Step } from '../../../src/dtls/werift/handshake.js';
import { loadIdentity } from '../../../src/dtls/werift/identity.js';
import { HANDSHAKE, type HandshakeMessage } from '../../../src/dtls/werift/reassembly.js';
import { ServerHandshake } from '../../../src/dtls/werift/server.js';
import { optionsFor, type Side } from './pair.js';

function make(side: Side): Handshake {
  const options = optionsFor(side);
  const Role = side === 'client' ? ClientHandshake : ServerHandshake;
  return new Role(options, loadIdentity(options)!, DEFAULT_TUNING);
}

/** A genuine handshake, message by message; `probe` sees each role before each message that it accepts, and at the end. */
function walk(probe: (side: Side, role: Handshake, expected: number | undefined, body: Uint8Array) => void): void {
  const roles: Record<Side, Handshake> = { client: make('client'), server: make('server') };
  const queue: { to: Side; message: HandshakeMessage }[] = [];
  const take = (from: Side, step: Step) => {
    expect(step.type).not.toBe('failed');
    expect(step.type).not.toBe('refused');
    const to = from === 'client' ? 'server' : 'client';
    const flight: readonly Outgoing[] = 'flight' in step ? step.flight : [];
    for (const item of flight) if (item.type === 'message') queue.push({ to, message: item.message });
    if (step.type === 'verify-hello') queue.push({ to, message: step.message });
  };
  take('server', roles.server.start());
  take('client', roles.client.start());
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    probe(next.to, roles[next.to], next.message.type, next.message.body);
    take(next.to, roles[next.to].message(next.message));
  }
  const nothing = new Uint8Array(0);
  probe('client', roles.client, undefined, nothing);
  probe('server', roles.server, undefined, nothing);
}

describe('a role', () => {
  it('refuses every message out of turn and still takes the one whose turn it is', () => {
    const turns: string[] = [];
    walk((side, role, expected) => {
      turns.push(`${side} ${expected}`);
      for (const type of [...Object.values(HANDSHAKE), 0, 4, 22, 255]) {
        if (type === expected) continue;
        // The two absences that have a name of their own are tested below: they end the handshake.
        if (side === 'server' && expected === HANDSHAKE.certificate && type === HANDSHAKE.clientKeyExchange) continue;
        if (side === 'client' && expected === HANDSHAKE.certificateRequest && type === HANDSHAKE.serverHelloDone)
          continue;
        for (const body of [new Uint8Array(0), new Uint8Array(12), Uint8Array.of(0, 0, 0)]) {
          expect(role.message({ type, sequence: 1, body }).type, `${side} ${expected} ${type}`).toBe('refused');
        }
      }
    });
    const server = [1, 1, 11, 16, 15, 20, undefined].map((type) => `server ${type}`);
    const client = [3, 2, 11, 12, 13, 14, 20, undefined].map((type) => `client ${type}`);
    expect(turns.toSorted()).toEqual([...server, ...client].toSorted());
  });

  it('refuses a malformed message in its turn, and its place stays open', () => {
    walk((_side, role, expected, genuine) => {
      // Certificate may be an empty list and Finished is bytes alone: what is wrong with those fails (forgery.test.ts).
      if (expected === undefined || expected === HANDSHAKE.finished) return;
      const longer = concat(genuine, new Uint8Array(1));
      const noise = [Uint8Array.of(1), Uint8Array.of(0xfe, 0xfd, 0xff), new Uint8Array(200).fill(255)];
      const shorter = genuine.length > 0 ? [genuine.subarray(0, -1)] : [];
      for (const body of [...noise, ...shorter, longer]) {
        expect(role.message({ type: expected, sequence: 1, body }).type, `message ${expected}`).toBe('refused');
      }
    });
  });

  it('ends the handshake when the client skips its certificate', () => {
    walk((side, role, expected) => {
      if (side !== 'server' || expected !== HANDSHAKE.certificate) return;
      const spare = make('server');
      expect(spare.message({ type: HANDSHAKE.clientKeyExchange, sequence: 2, body: new Uint8Array(33) }).type).toBe(
        'refused',
      );
      const step = role.message({ type: HANDSHAKE.clientKeyExchange, sequence: 2, body: new Uint8Array(33) });
      expect(step).toMatchObject({ type: 'failed', reason: 'no-certificate' });
    });
  });

  it('ends the handshake when the server does not ask for a certificate', () => {
    walk((side, role, expected) => {
      if (side !== 'client' || expected !== HANDSHAKE.certificateRequest) return;
      const step = role.message({ type: HANDSHAKE.serverHelloDone, sequence: 4, body: new Uint8Array(0) });
      expect(step).toMatchObject({ type: 'failed', reason: 'no-certificate' });
    });
  });

  it('stops at a handshake that outgrows its transcript', () => {
    walk((side, role, expected) => {
      if (side !== 'client' || expected !== HANDSHAKE.certificateRequest) return;
      const names = 65_000;
      const body = Buffer.alloc(1 + 1 + 2 + 2 + 2 + names);
      body.set([1, 64, 0, 2, 4, 3]);
      body.writeUInt16BE(names, 6);
      expect(role.message({ type: expected, sequence: 4, body })).toMatchObject({
        type: 'failed',
        reason: 'limit-exceeded',
      });
    });
  });
});
