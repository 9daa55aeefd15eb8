/**
 * Softphones that nobody here wrote: baresip and linphonec call by SIP over TLS into a non-secure conference and hear each
 * other (the decoded tone is checked), directly and with Kamailio as a record-routing proxy in between.
 */
import { mkdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Switch } from '../../src/server/switch.js';
import { hashCredentials } from '../../src/sip/digest.js';
import { type Caller, dial } from '../support/caller.js';
import { freePort, makePlace, type Place } from '../support/configured-switch.js';
import { describeWithPeers } from '../support/peers.js';
import { issue, put } from '../support/pki.js';
import { killPrograms, type Program, run, stop } from '../support/programs.js';
import { until } from '../support/running-switch.js';
import { baresip, hasHeard, hears, heeded, linphonec, type Phone } from '../support/softphones.js';

/** Starting a softphone takes its time on a loaded machine; each wait inside has its own limit. */
const LIMIT_MS = 90_000;

let place: Place;
let running: Switch;

beforeEach(async () => {
  place = await makePlace();
  // linphonec looks for a literal address in the common name only, and only where there are no alternative names.
  const named = await issue(place.root, { cn: '127.0.0.1' });
  put(place.folder, 'tls/server.pem', named.pem);
  put(place.folder, 'tls/key.pem', named.keyPem);
});
afterEach(async () => {
  killPrograms();
  await place.close();
});

const lobby = (port: number, transport = ''): string => `sip:lobby@127.0.0.1:${port}${transport}`;

describeWithPeers('baresip', ['baresip'], () => {
  it(
    'calls by SIP over TLS, and two of them hear each other',
    async () => {
      running = await place.start('[conferences]\npolicy = "non-secure"');
      const low = baresip(place, 'low', lobby(running.sip.port), 440);
      const high = baresip(place, 'high', lobby(running.sip.port), 1_000);
      await hears('low', low, 1_000);
      await hears('high', high, 440);
      expect(running.conferenceLevel('lobby')).toBe('none');
      stop(low.program);
      stop(high.program);
      await until('the conference is empty', () => running.conferenceLevel('lobby') === undefined);
    },
    LIMIT_MS,
  );
});

// It offers no candidates of the loopback interface; what it sends from another address of this machine stays here as well.
const hasAddress = Object.values(networkInterfaces()).some((list) =>
  list?.some((a) => !a.internal && a.family === 'IPv4'),
);

const alone = hasAddress ? '' : ' [skipped: this machine has no IPv4 address but that of loopback]';

describeWithPeers(`baresip with ICE${alone}`, ['baresip'], () => {
  it.runIf(hasAddress).each([
    ['dtls_srtp', 'best-effort'],
    [undefined, 'non-secure'],
  ] as const)(
    'a full agent, %s: checks, nominates, says so in a re-INVITE, and two of them hear each other',
    async (encryption, policy) => {
      running = await place.start(`[conferences]\npolicy = "${policy}"`);
      const phones = [440, 1_000].map((hertz) =>
        baresip(place, `at-${hertz}`, lobby(running.sip.port), hertz, encryption, { ice: true }),
      );
      const [low, high] = phones as [Phone, Phone];
      await hears('low', low, 1_000);
      await hears('high', high, 440);
      for (const phone of phones) {
        const says = (text: string) => heeded(phone, text, () => phone.program.output.text.includes(text));
        await says("mnat 'ice' connected");
        await says('sending Re-INVITE with updated default candidates');
      }
      const { check_refused, replayed } = running.counters().drops;
      expect([check_refused, replayed]).toEqual([0, 0]);
    },
    LIMIT_MS,
  );
});

describeWithPeers('baresip with SRTP in a best-effort conference', ['baresip'], () => {
  const kinds = ['dtls_srtp', 'srtp-mand', 'srtp'] as const;
  const pairs = kinds.flatMap((a, i) => kinds.slice(i).map((b) => [a, b] as const));
  it.each(pairs)(
    '%s and %s hear each other at hop-by-hop',
    async (a, b) => {
      running = await place.start('[conferences]\npolicy = "best-effort"');
      const low = baresip(place, 'low', lobby(running.sip.port), 440, a);
      const high = baresip(place, 'high', lobby(running.sip.port), 1_000, b);
      await hears('low', low, 1_000);
      await hears('high', high, 440);
      expect(running.conferenceLevel('lobby')).toBe('hop-by-hop');
      for (const { program } of [low, high]) stop(program);
    },
    LIMIT_MS,
  );

  it(
    'joins two EKT endpoints: all go on at hop-by-hop without a re-INVITE, and back to end-to-end when it has left',
    async () => {
      const named = await issue(place.root, { cn: 'switch', names: ['127.0.0.1'] });
      put(place.folder, 'tls/server.pem', named.pem);
      put(place.folder, 'tls/key.pem', named.keyPem);
      running = await place.start('[conferences]\npolicy = "best-effort"\nrestore = "automatic"');
      const to = { target: `sips:lobby@127.0.0.1:${running.sip.port}`, caPem: place.root.pem };
      const a = await dial(to, { name: 'a', energy: () => 60 });
      const b = await dial(to, { name: 'b' });
      await Promise.all([a.call.ready, b.call.ready]);
      const heard = (from: Caller, at: Caller, since: number): boolean => {
        const sent = new Set(from.sent.map(({ payload }) => Buffer.from(payload).toString('base64')));
        const late = at.received.slice(since).filter(({ media }) => media === 'audio');
        return late.filter(({ payload }) => sent.has(Buffer.from(payload).toString('base64'))).length > 50;
      };
      await until('end-to-end', () => running.conferenceLevel('lobby') === 'end-to-end' && heard(a, b, 0));
      const phone = baresip(place, 'phone', lobby(running.sip.port), 440, 'srtp-mand');
      await until('hop-by-hop', () => running.conferenceLevel('lobby') === 'hop-by-hop');
      let since = b.received.length;
      await until('b hears a under channel keys', () => heard(a, b, since));
      since = a.received.length;
      await until('a hears others under channel keys', () => a.received.slice(since).some((r) => r.media === 'audio'));
      await heeded(phone, 'the phone decodes something', () => statSync(phone.heard()).size > 48_000);
      expect([a.notified.at(-1), b.notified.at(-1)]).toEqual([false, false]);
      stop(phone.program);
      await until('end-to-end again', () => running.conferenceLevel('lobby') === 'end-to-end', 30_000);
      since = b.received.length;
      await until('b hears a under sender keys', () => heard(a, b, since));
      expect([a.notified.at(-1), b.notified.at(-1)]).toEqual([true, true]);
      const codes = place.events.map((e) => e.code);
      expect(codes.filter((code) => code !== 'certificate-expiring')).toEqual([
        'endpoint-not-capable',
        'conference-downgraded',
        'conference-restored',
      ]);
      const { drops } = running.counters();
      expect([drops.auth_failed, drops.below_level]).toEqual([0, 0]);
      for (const { call } of [a, b]) await call.hangup();
    },
    LIMIT_MS,
  );

  it(
    'a plain one joins: everybody hears on, the others stay on SRTP, and the conference says none',
    async () => {
      running = await place.start('[conferences]\npolicy = "best-effort"');
      const low = baresip(place, 'low', lobby(running.sip.port), 440, 'dtls_srtp');
      const high = baresip(place, 'high', lobby(running.sip.port), 1_000, 'srtp-mand');
      await hears('low', low, 1_000);
      const plain = baresip(place, 'plain', lobby(running.sip.port), 1_700);
      await until('the conference is lowered', () => running.conferenceLevel('lobby') === 'none');
      for (const { program } of [high]) stop(program);
      await hears('low', low, 1_700);
      await hears('plain', plain, 440);
      expect(place.events.map((e) => e.code)).toContain('conference-downgraded');
      for (const { program } of [low, plain]) stop(program);
    },
    LIMIT_MS,
  );
});

/** A switch that takes registrations, and baresip's account there. */
async function registrar(policy: string): Promise<{ readonly account: string; readonly port: number }> {
  const md5 = hashCredentials('MD5', 'ann', 'claviger', 'pw');
  running = await place.start(
    `[conferences]\npolicy = "${policy}"\n[registrar]\nenabled = true\n[digest]\nalgorithms = ["MD5"]\n[[digest.users]]\nname = "ann"\nmd5 = "${md5}"\n`,
  );
  const { port } = running.sip;
  const account = `<sip:ann@127.0.0.1:${port};transport=tls>;auth_user=ann;auth_pass=pw;regint=600;answermode=auto;outbound="sip:127.0.0.1:${port};transport=tls";sipnat=outbound`;
  return { account, port };
}

describeWithPeers('baresip as a registered endpoint', ['baresip'], () => {
  it(
    'registers with digest over TLS, and the switch calls it on that connection',
    async () => {
      const { account, port } = await registrar('non-secure');
      const ann = baresip(place, 'ann', { account }, 440);
      const other = baresip(place, 'other', lobby(port), 1_000);
      await heeded(ann, 'ann has registered', () => /200 OK/.test(ann.program.output.text));
      expect(running.dial({ conference: 'lobby', target: 'ann' }).ok).toBe(true);
      await hears('ann', ann, 1_000);
      await hears('other', other, 440);
      expect(running.dialled('lobby', 1)).toMatchObject({ state: 'answered', trunk: undefined });
      expect(place.events.filter((e) => e.code !== 'certificate-expiring')).toEqual([]);
      for (const { program } of [ann, other]) stop(program);
    },
    LIMIT_MS,
  );

  it(
    'is called into a best-effort conference with DTLS-SRTP: a standard endpoint by its answer, at hop-by-hop',
    async () => {
      const { account } = await registrar('best-effort');
      const ann = baresip(place, 'ann', { account }, 440, 'dtls_srtp');
      const other = baresip(place, 'other', lobby(running.sip.port), 1_000, 'dtls_srtp');
      await heeded(ann, 'ann has registered', () => /200 OK/.test(ann.program.output.text));
      expect(running.dial({ conference: 'lobby', target: 'ann' }).ok).toBe(true);
      await hears('ann', ann, 1_000);
      await hears('other', other, 440);
      expect(running.conferenceLevel('lobby')).toBe('hop-by-hop');
      for (const { program } of [ann, other]) stop(program);
    },
    LIMIT_MS,
  );
});

describeWithPeers('linphonec and baresip', ['linphonec', 'baresip'], () => {
  it.each([
    ['in plain RTP', 'non-secure', 'none', 'none', undefined],
    ['with SDES and DTLS-SRTP', 'best-effort', 'hop-by-hop', 'srtp', 'dtls_srtp'],
    ['with DTLS-SRTP and SDES', 'best-effort', 'hop-by-hop', 'dtls', 'srtp-mand'],
  ] as const)('hear each other %s', { timeout: LIMIT_MS }, async (_, policy, level, ours, theirs) => {
    running = await place.start(`[conferences]\npolicy = "${policy}"`);
    const low = baresip(place, 'low', lobby(running.sip.port), 440, theirs);
    const linphone = await linphonec(place, lobby(running.sip.port, ';transport=tls'), 700, ours);
    await hears('low', low, 700);
    expect(running.conferenceLevel('lobby')).toBe(level);
    await hasHeard(linphone, 440);
    stop(low.program);
    await until('the conference is empty', () => running.conferenceLevel('lobby') === undefined);
  });
});

/** Waits until somebody listens on this port. */
async function accepts(port: number, { child, output }: Program): Promise<void> {
  for (let connected = false; !connected; ) {
    if (child.exitCode !== null) throw new Error(output.text.slice(-4_000));
    connected = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true));
      socket.on('error', () => setTimeout(resolve, 20, false));
      socket.on('connect', () => socket.destroy());
    });
  }
}

/** A record-routing proxy with mutual TLS towards the switch. */
async function kamailio(switchPort: number): Promise<number> {
  const port = await freePort();
  const identity = await issue(place.root, { cn: 'proxy.example', names: ['127.0.0.1', 'proxy.example'] });
  const folder = place.file('kamailio');
  mkdirSync(folder);
  const own = `private_key = ${put(folder, 'key.pem', identity.keyPem)}\ncertificate = ${put(folder, 'proxy.pem', identity.pem)}\nca_list = ${place.file('tls/ca.pem')}`;
  const tls = put(
    folder,
    'tls.cfg',
    `[server:default]\nmethod = TLSv1.2+\n${own}\nverify_certificate = no\nrequire_certificate = no\n[client:default]\nmethod = TLSv1.2+\n${own}\nverify_certificate = yes\nrequire_certificate = yes\n`,
  );
  const script = `#!KAMAILIO
debug=2
log_stderror=yes
children=1
tcp_children=1
disable_core_dump=yes
enable_tls=yes
listen=tls:127.0.0.1:${port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/aarch64-linux-gnu/kamailio/modules/:/usr/lib/kamailio/modules/"
loadmodule "tls.so"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "pv.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "nathelper.so"
modparam("tls", "config", "${tls}")
request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  if (has_totag()) { if (loose_route()) { handle_ruri_alias(); t_relay(); } exit; }
  record_route();
  # baresip has no certificate: it is called back on its own connection.
  add_contact_alias();
  $du = "sip:127.0.0.1:${switchPort};transport=tls";
  t_relay();
}
`;
  const program = run('kamailio', place.folder, [
    '-DD',
    '-E',
    '-m',
    '64',
    '-M',
    '8',
    '-f',
    put(folder, 'kamailio.cfg', script),
    '-Y',
    folder,
    '-w',
    folder,
    '-P',
    join(folder, 'pid'),
  ]);
  await accepts(port, program);
  return port;
}

describeWithPeers('Kamailio between baresip and the switch', ['kamailio', 'baresip'], () => {
  it(
    'routes a call through a trunk with mutual TLS: both hear each other, and BYE finds its way back',
    async () => {
      const trunkPort = await freePort();
      running = await place.start(
        `[conferences]\npolicy = "non-secure"\n[[trunks]]\nname = "proxy"\nport = ${trunkPort}\nx509Names = ["proxy.example"]\n`,
      );
      const proxy = await kamailio(trunkPort);
      const far = baresip(place, 'far', lobby(proxy), 440);
      const near = baresip(place, 'near', lobby(running.sip.port), 1_000);
      await hears('far', far, 1_000);
      await hears('near', near, 440);
      expect(place.events.filter((e) => e.code !== 'certificate-expiring')).toEqual([]);
      // The switch ends the call: its BYE goes by the route set, through the proxy.
      for (const member of [1, 2]) running.operate('lobby', { type: 'drop', member });
      await heeded(far, 'baresip hears of the end', () => /terminated|session closed/i.test(far.program.output.text));
      for (const { program } of [far, near]) stop(program);
    },
    LIMIT_MS,
  );
});
