/** The switch as caller: through a trunk, into its conference, and never with less security than the conference asks for. */
import { createServer as createTcp } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  type AnsweringEndpoint,
  type Call,
  type CallOptions,
  listen,
  type ReceivedMedia,
} from '../../src/endpoint/index.js';
import type { Switch } from '../../src/server/switch.js';
import { audioInput, dial, videoInput } from '../support/caller.js';
import { claviger } from '../support/cli.js';
import { freePort, placeForEach } from '../support/configured-switch.js';
import { type Identity, issue, put } from '../support/pki.js';
import { until } from '../support/running-switch.js';
import { openSipPeer, plainAnswer, type SipPeer, type SipPeerOptions } from '../support/sip-peer.js';

let running: Switch;
const here = placeForEach();
const { closing } = here;

async function trunk(peers: readonly number[], more = ''): Promise<string> {
  const list = peers.map((port) => `"127.0.0.1:${port}"`).join(', ');
  return `[[trunks]]\nname = "peer"\nport = ${await freePort()}\nx509Names = ["peer.example"]\npeers = [${list}]\n${more}\n`;
}

async function start(toml: string): Promise<void> {
  running = await here.place.start(toml);
}

interface Callee extends AnsweringEndpoint {
  readonly calls: Call[];
  readonly received: ReceivedMedia[];
}

/** An endpoint that answers, with EKT or as one that knows neither it nor TIP, or refuses with this status. */
async function callee(how: 'answer' | 'dtls-srtp' | 'sdes' | number, identity?: Identity): Promise<Callee> {
  const shown =
    identity ?? (await issue(here.place.root, { cn: 'peer.example', names: ['127.0.0.1', 'peer.example'] }));
  const calls: Call[] = [];
  const received: ReceivedMedia[] = [];
  const options: Omit<CallOptions, 'target'> = {
    name: 'callee',
    audio: [audioInput(1)],
    video: [videoInput(1)],
    onReceived: (rtp) => void received.push(rtp),
    ...(how === 'dtls-srtp' || how === 'sdes' ? { security: how } : {}),
  };
  const endpoint = await listen({
    address: '127.0.0.1',
    port: 0,
    tls: { cert: shown.pem, key: shown.keyPem, ca: here.place.root.pem, requestCert: true, rejectUnauthorized: true },
    tip: how === 'answer',
    answer: () => (typeof how === 'string' ? options : { refuse: how }),
    onCall: (call) => void calls.push(call),
  });
  closing.push(async () => {
    for (const call of calls) call.kill();
    await endpoint.close();
  });
  return { ...endpoint, calls, received };
}

/** A peer over TLS that answers each request with the text that `reply` gives. */
async function scripted(reply: SipPeerOptions['reply']): Promise<SipPeer> {
  const identity = await issue(here.place.root, { cn: 'peer.example', names: ['127.0.0.1'] });
  const peer = await openSipPeer({ transport: 'tls', tls: { identity, ca: here.place.root.pem }, reply });
  closing.push(() => peer.close());
  return peer;
}

const methods = (requests: readonly string[]): string[] => requests.map((r) => r.split(' ')[0]!);
const codes = (): string[] => here.place.events.map((e) => e.code).filter((code) => code !== 'certificate-expiring');

/** Dials and waits for the end of it. */
async function outcome(
  conference = 'board',
  target = '4711',
): Promise<{ state: string; status?: number; reason?: string }> {
  const made = running.dial({ conference, target });
  if (!made.ok) throw new Error(made.detail);
  await until(
    'the outcome of the call',
    () => running.dialled(conference, made.value.id)?.state !== 'dialling',
    30_000,
  );
  return running.dialled(conference, made.value.id)!;
}

describe('a call that the switch makes', () => {
  it('joins a secure conference end to end, and goes on while certificates are renewed in both directions', async () => {
    const peer = await callee('answer');
    const other = await scripted(() => 'SIP/2.0 486 Busy Here');
    await start(`${await trunk([peer.port])}${(await trunk([other.port])).replace('"peer"', '"other"')}`);
    const target = `sips:board@127.0.0.1:${running.sip.port}`;
    const caller = await dial({ target, caPem: here.place.root.pem });
    closing.push(() => caller.call.kill());
    await caller.call.ready;
    const made = running.dial({ conference: 'board', target: '4711', trunk: 'peer' });
    expect(made.ok).toBe(true);
    await until('the callee is in', () => peer.calls[0]?.status().ready === true, 30_000);
    expect(running.dialled('board', 1)).toMatchObject({ state: 'answered', trunk: 'peer' });
    await until('media both ways', () => peer.received.length > 20 && caller.received.length > 20, 30_000);
    expect(running.conferenceLevel('board')).toBe('end-to-end');
    const sent = new Set(caller.sent.map((p) => Buffer.from(p.payload).toString('base64')));
    expect(peer.received.every((rtp) => sent.has(Buffer.from(rtp.payload).toString('base64')))).toBe(true);

    const renewed = await issue(here.place.root, { cn: 'renewed', names: ['127.0.0.1'] });
    put(here.place.folder, 'tls/server.pem', renewed.pem);
    put(here.place.folder, 'tls/key.pem', renewed.keyPem);
    expect(running.reloadCertificates()).toBe(true);
    const before = [peer.received.length, caller.received.length];
    running.dial({ conference: 'board', target: '1', trunk: 'other' });
    await until('a call with the new certificate', () => other.requests.length > 0);
    expect(other.shown).toEqual(['renewed']);
    await until(
      'media goes on',
      () => peer.received.length > before[0]! + 20 && caller.received.length > before[1]! + 20,
    );
    expect(running.conferenceLevel('board')).toBe('end-to-end');
    await caller.call.hangup();
  });

  it('joins a non-secure conference with plain RTP', async () => {
    const peer = await callee('answer');
    await start(`[conferences]\npolicy = "non-secure"\n${await trunk([peer.port])}`);
    expect(await outcome()).toMatchObject({ state: 'answered' });
    expect(running.conferenceLevel('board')).toBe('none');
  });

  it.each([
    ['best-effort', 'policy = "best-effort"'],
    ['secure at hop-by-hop', 'policy = "secure"\nrequiredLevel = "hop-by-hop"'],
  ])(
    'to an endpoint whose answer names no TIP: it joins a %s conference with DTLS-SRTP, and hears',
    async (_, toml) => {
      const peer = await callee('dtls-srtp');
      await start(`[conferences]\n${toml}\n${await trunk([peer.port])}`);
      const target = `sips:board@127.0.0.1:${running.sip.port}`;
      const caller = await dial({ target, caPem: here.place.root.pem });
      closing.push(() => caller.call.kill());
      await caller.call.ready;
      expect(await outcome()).toMatchObject({ state: 'answered' });
      await until('media both ways', () => peer.received.length > 20 && caller.received.length > 20, 30_000);
      expect(running.conferenceLevel('board')).toBe('hop-by-hop');
      const sent = new Set(caller.sent.map((p) => Buffer.from(p.payload).toString('base64')));
      expect(peer.received.every((rtp) => sent.has(Buffer.from(rtp.payload).toString('base64')))).toBe(true);
      const { drops } = running.counters();
      expect([drops.auth_failed, drops.below_level]).toEqual([0, 0]);
      expect(codes()).toEqual(toml.includes('best') ? ['endpoint-not-capable', 'conference-downgraded'] : []);
    },
  );

  it('joins with keys in SDP where the trunk has them so; media goes on under new keys, and under repeated ones', async () => {
    const peer = await callee('sdes');
    const suites = 'sdpKeySuites = ["AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"]';
    const conference = '[conferences]\npolicy = "secure"\nrequiredLevel = "hop-by-hop"\n';
    await start(`${conference}${await trunk([peer.port], `keying = "sdp-keys"\n${suites}`)}`);
    const target = `sips:board@127.0.0.1:${running.sip.port}`;
    const caller = await dial({ target, caPem: here.place.root.pem }, { security: 'dtls-srtp' });
    closing.push(() => caller.call.kill());
    expect(await outcome()).toMatchObject({ state: 'answered' });
    expect(running.conferenceLevel('board')).toBe('hop-by-hop');
    const sent = (): Set<string> => new Set(caller.sent.map((p) => Buffer.from(p.payload).toString('base64')));
    const flows = async (what: string): Promise<void> => {
      const before = [peer.received.length, caller.received.length];
      const grown = (n: number, list: readonly unknown[]): boolean => list.length > before[n]! + 50;
      await until(what, () => grown(0, peer.received) && grown(1, caller.received), 30_000);
    };
    await flows('media both ways');
    const called = peer.calls[0]!;
    await called.direct('sendrecv'); // a re-INVITE that repeats the keys
    await flows('media under the same keys');
    await called.renew();
    await flows('media under new keys');
    const known = sent();
    expect(peer.received.every((rtp) => known.has(Buffer.from(rtp.payload).toString('base64')))).toBe(true);
    expect(called.status().drops.auth_failed ?? 0).toBeLessThan(50);
    await caller.call.hangup();
  });

  it('takes the answer of a reliable provisional response, which gets its PRACK (RFC 3262)', async () => {
    const reliable = (invite: string): string =>
      plainAnswer(invite, 'tls').replace('200 OK', '183 Session Progress\nRequire: 100rel\nRSeq: 900');
    const peer: SipPeer = await scripted((request) => {
      if (request.startsWith('INVITE')) return [reliable(request), reliable(request)];
      if (request.startsWith('PRACK')) return 'SIP/2.0 200 OK';
      return undefined;
    });
    await start(`[conferences]\npolicy = "non-secure"\n${await trunk([peer.port])}`);
    const made = running.dial({ conference: 'board', target: '4711' });
    expect(made.ok).toBe(true);
    await until('PRACK', () => methods(peer.requests).includes('PRACK'));
    expect(running.dialled('board', 1)).toMatchObject({ state: 'dialling' });
    peer.respond(peer.requests[0]!, 'SIP/2.0 200 OK\nContact: <sip:x@127.0.0.1;transport=tls>');
    await until('the call', () => running.dialled('board', 1)?.state === 'answered');
    await until('ACK', () => methods(peer.requests).includes('ACK'));
    expect(methods(peer.requests)).toEqual(['INVITE', 'PRACK', 'ACK']);
    expect(peer.requests[1]).toMatch(/^RAck: 900 1 INVITE\r$/m);
    expect(running.conferenceLevel('board')).toBe('none');
  });

  it.each<[number, string | undefined]>([
    [403, 'trunk-forbidden'],
    [488, 'trunk-srtp-refused'],
    [606, 'trunk-keys-refused'],
    [486, undefined],
  ])('answered %i tells the operator %s, and nobody else is tried', async (status, code) => {
    const peer = await callee(status);
    const second = await scripted(() => 'SIP/2.0 486 Busy Here');
    await start(await trunk([peer.port, second.port]));
    expect(await outcome()).toMatchObject({ state: 'failed', status });
    expect(codes()).toEqual(code === undefined ? [] : [code]);
    expect(second.requests).toEqual([]);
    expect(running.conferenceLevel('board')).toBeUndefined();
  });

  it('goes on to the next peer where the first is not there, and says so', async () => {
    const peer = await callee('answer');
    await start(await trunk([await freePort(), peer.port]));
    expect(await outcome()).toMatchObject({ state: 'answered' });
    expect(codes()).toEqual(['peer-unreachable']);
    expect(here.place.events[0]!.remedy).toContain('port numbers');
  });

  it('comes again after 503 when Retry-After says so, and not before', async () => {
    const at: number[] = [];
    const peer = await scripted((request) => {
      if (!request.startsWith('INVITE')) return undefined;
      at.push(performance.now());
      return at.length === 1 ? 'SIP/2.0 503 Busy\nRetry-After: 1' : 'SIP/2.0 486 Busy Here';
    });
    await start(await trunk([peer.port]));
    expect(await outcome()).toMatchObject({ state: 'failed', status: 486 });
    await until('ACK', () => peer.requests.length > 3);
    expect(methods(peer.requests)).toEqual(['INVITE', 'ACK', 'INVITE', 'ACK']);
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(990);
  });

  it('can be given up', async () => {
    const peer = await scripted((request) => (request.startsWith('INVITE') ? 'SIP/2.0 180 Ringing' : 'SIP/2.0 200 OK'));
    await start(await trunk([peer.port]));
    const made = running.dial({ conference: 'board', target: '4711' });
    await until('ringing', () => peer.requests.length > 0);
    running.cancelDial(made.ok ? made.value.id : 0);
    await until('CANCEL', () => methods(peer.requests).includes('CANCEL'));
    await until('its end', () => running.dialled('board', 1)?.state === 'cancelled');
  });

  it.each<[string, () => Promise<Identity>, string]>([
    [
      'names somebody else',
      () => issue(here.place.root, { cn: 'x', names: ['127.0.0.1'] }),
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
    ['does not name the host', () => issue(here.place.root, { cn: 'peer.example' }), 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [
      'has expired',
      () => issue(here.place.root, { cn: 'peer.example', names: ['127.0.0.1'], days: -1 }),
      'CERT_HAS_EXPIRED',
    ],
    [
      'is of an authority that nobody knows',
      async () => issue(await issue(undefined), { cn: 'peer.example', names: ['127.0.0.1'] }),
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
  ])('is not made to a peer whose certificate %s', async (_, make, cause) => {
    const peer = await callee('answer', await make());
    await start(await trunk([peer.port]));
    expect(await outcome()).toMatchObject({ state: 'failed', reason: 'no peer could be reached' });
    expect(codes()).toEqual(['tls-verify-failed']);
    expect(here.place.events[0]!.cause).toContain(cause);
  });
});

describe('attacks by downgrade', () => {
  it('an answer of plain RTP to a secure offer is no answer: BYE with the reason, an event, and nobody in the conference', async () => {
    const peer = await scripted((request) => {
      if (request.startsWith('BYE')) return 'SIP/2.0 200 OK';
      if (!request.startsWith('INVITE')) return undefined;
      const lines = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'];
      for (const m of request.match(/^m=\w+/gm)!) lines.push(`${m} 4000 RTP/AVP 96`, 'a=rtpmap:96 opus/48000/2');
      return `SIP/2.0 200 OK\nContact: <sip:x@127.0.0.1;transport=tls>\nContent-Type: application/sdp\n\n${lines.join('\r\n')}\r\n`;
    });
    await start(await trunk([peer.port]));
    expect(await outcome()).toMatchObject({ state: 'failed', status: 488 });
    await until('BYE', () => methods(peer.requests).includes('BYE'));
    expect(peer.requests[0]).toMatch(/m=audio \d+ UDP\/TLS\/RTP\/SAVPF/);
    expect(peer.requests[0]).not.toMatch(/RTP\/AVP/);
    expect(methods(peer.requests)).toEqual(['INVITE', 'ACK', 'BYE']);
    expect(peer.requests[2]).toContain('Reason: SIP;cause=488');
    expect(codes()).toEqual(['security-mismatch']);
    expect(running.conferenceLevel('board')).toBeUndefined();
  });

  it.each([488, 606, 415])('after %i the call is not offered again with less', async (status) => {
    const peer = await scripted((request) => (request.startsWith('INVITE') ? `SIP/2.0 ${status} No` : undefined));
    await start(await trunk([peer.port]));
    expect(await outcome()).toMatchObject({ state: 'failed', status });
    await until('ACK', () => peer.requests.length > 1);
    expect(methods(peer.requests)).toEqual(['INVITE', 'ACK']);
  });

  it('a redirection to TCP is not followed', async () => {
    const plain = createTcp();
    let dialled = 0;
    plain.on('connection', () => void dialled++);
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    closing.push(() => new Promise((resolve) => plain.close(resolve)));
    const { port } = plain.address() as { port: number };
    const peer = await scripted((request) =>
      request.startsWith('INVITE') ? `SIP/2.0 302 Moved\nContact: <sip:x@127.0.0.1:${port};transport=tcp>` : undefined,
    );
    await start(await trunk([peer.port]));
    expect(await outcome()).toMatchObject({ state: 'failed', status: 302 });
    expect(dialled).toBe(0);
  });

  it('a peer that has no TLS any more is not called without', async () => {
    const heard: string[] = [];
    const plain = createTcp((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        heard.push(chunk.toString('latin1'));
        socket.end('SIP/2.0 400 Bad Request\r\n\r\n');
      });
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    closing.push(() => new Promise((resolve) => plain.close(resolve)));
    await start(await trunk([(plain.address() as { port: number }).port]));
    expect(await outcome()).toMatchObject({ state: 'failed', reason: 'no peer could be reached' });
    expect(codes()).toEqual(['peer-unreachable']);
    expect(heard.join('')).not.toContain('INVITE');
  });

  it('a secure conference does not call through a trunk that allows no SRTP', async () => {
    const peer = await scripted(() => 'SIP/2.0 486 Busy Here');
    await start(await trunk([peer.port], 'security = "authenticated"\nsrtp = false'));
    expect(await outcome()).toMatchObject({ state: 'failed', status: 488 });
    expect(codes()).toEqual(['security-mismatch']);
    expect(peer.requests).toEqual([]);
  });
});

describe('claviger dial', () => {
  it('has the switch call through the administration API, and says what became of it', async () => {
    const busy = await callee(486);
    await start(await trunk([busy.port]));
    const { exit, output } = claviger([
      ...['dial', 'board', '4711', '--api', `https://127.0.0.1:${running.admin.port}`],
      ...['--token-file', here.place.file('data/admin-token'), '--ca', here.place.file('tls/ca.pem')],
    ]);
    expect(await exit).toBe(1);
    expect(output.text).toContain('claviger dial: 4711: 486');
  });
});
