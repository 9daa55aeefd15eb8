/**
 * RFC 4475: every message of the RFC, sent to the user agent as the datagram that it is. What is valid is understood as the
 * RFC says, what is not is refused with its status. Exceptions: none.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseSipMessage } from '../../../src/wire/sip-message.js';
import type { SipMessage, SipNameAddr, SipRefusalReason, SipRequest, SipUri } from '../../../src/wire/sip-types.js';
import { userText } from '../../../src/wire/sip-uri.js';
import { Bench, headerOf } from './support.js';

const FOLDER = fileURLToPath(new URL('../../vectors/rfc4475', import.meta.url));
const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(`${FOLDER}/${name}.dat`));

/** The one response to it, if there is one; what the user is told. */
function toUserAgent(name: string) {
  const bench = new Bench({}, 'udp');
  const result = parseSipMessage(bytesOf(name));
  if (result.ok) bench.put({ type: 'message', connection: 1, message: result.value });
  else {
    const { ok: _, ...refused } = result;
    bench.put({ type: 'refused', connection: 1, ...refused });
  }
  return { sent: bench.take(), events: bench.takeEvents() };
}

function read(name: string): SipMessage {
  const result = parseSipMessage(bytesOf(name));
  if (!result.ok) throw new Error(`${name} was refused: ${result.reason} ${result.detail ?? ''}`);
  return result.value;
}

const request = (name: string): SipRequest => {
  const message = read(name);
  if (message.kind !== 'request') throw new Error('not a request');
  return message;
};
const contacts = (m: SipMessage): readonly SipNameAddr[] => (m.contact === '*' ? [] : m.contact);
const paramsOf = (uri: SipUri | undefined) => Object.fromEntries(uri?.params ?? []);
const bodyOf = (m: SipMessage): string => new TextDecoder().decode(m.body);
const other = (m: SipMessage, name: string): string | undefined => m.headers.find((h) => h.name === name)?.value;

/** §3.1.1, and those of §3.3 and §3.4 that are well formed: what they mean. */
const MEANING: Readonly<Record<string, () => void>> = {
  wsinv: () => {
    const m = request('wsinv');
    expect(m.uri).toMatchObject({ user: 'vivekg', host: 'chair-dnrc.example.com' });
    expect(paramsOf(m.uri)).toEqual({ unknownparam: '' });
    expect(m.to.params.get('tag')).toBe('1918181833n');
    expect([m.from.display, m.from.params.get('tag')]).toEqual(['J Rosenberg \\"', '98asjd8']);
    expect([m.maxForwards, m.cseq]).toEqual([68, { number: 9, method: 'INVITE' }]);
    expect(m.via.map((v) => [v.transport, v.host, v.params.get('branch')])).toEqual([
      ['UDP', '192.0.2.2', '390skdjuw'],
      ['TCP', 'spindle.example.com', 'z9hG4bK9ikj8'],
      ['UDP', '192.168.255.111', 'z9hG4bK30239'],
    ]);
    expect(other(m, 'subject')).toBe('');
    expect(other(m, 'newfangledheader')).toBe('newfangled value continued newfangled value');
    expect(other(m, 'unknownheaderwithunusualvalue')).toBe(';;,,;;,;');
    expect(paramsOf(m.route[0]?.uri)).toEqual({ lr: '', unknownwith: 'value', 'unknown-no-value': '' });
    const [contact] = contacts(m);
    expect(contact?.display).toBe('Quoted string ""');
    expect(Object.fromEntries(contact!.params)).toEqual({ newparam: 'newvalue', secondparam: '', q: '0.33' });
    expect(m.body).toHaveLength(150);
  },
  intmeth: () => {
    const m = request('intmeth');
    expect(m.method).toBe("!interesting-Method0123456789_*+`.%indeed'~");
    expect(m.uri).toMatchObject({ user: "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*", host: 'example.com' });
    expect(m.to.display).toBe('BEL:\x07 NUL:\0 DEL:\x7f');
    expect(m.from.display).toBe("token1~` token2'+_ token3*%!.-");
    expect(m.from.params.get("fromparam''~+*_!.-%")).toBe('работающий');
    expect(m.from.params.get('tag')).toBe("_token~1'+`*%!-.");
    expect(m.callId).toBe('intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{');
    expect(m.cseq.number).toBe(139_122_385);
    expect(m.maxForwards).toBe(255);
    expect(other(m, "extensionheader-!.%*+_`'~")).toBe('\ufeff大停電');
  },
  esc01: () => {
    const m = request('esc01');
    expect(userText(m.uri!)).toBe('sips:user@example.com');
    expect([userText(m.to.uri!), userText(m.from.uri!)]).toEqual(['user', 'I have spaces']);
    const [contact] = contacts(m);
    // `value%25%34%31` is `value%41`, unescaped once; it is not `valueA`.
    expect(paramsOf(contact?.uri)).toEqual({ lr: '', name: 'value%2541' });
    expect(userText(contact!.uri!)).toBe('caller');
  },
  escnull: () => {
    const m = request('escnull');
    expect(m.from.uri?.user).toBe('null-%00-null');
    expect(contacts(m).map((c) => c.uri?.user)).toEqual(['%00', '%00%00']);
  },
  esc02: () => {
    const m = request('esc02');
    expect(m.method).toBe('RE%47IST%45R');
    expect([m.to.display, m.from.display]).toEqual(['%Z%45', '%Z%45']);
    expect(contacts(m).map((c) => c.uri?.user)).toEqual(['alias1', 'alias3']);
    expect(m.via[0]?.params.get('branch')).toBe('z9hG4bK209%fzsnel234');
  },
  lwsdisp: () =>
    expect(request('lwsdisp').from).toMatchObject({ display: 'caller', uriText: 'sip:caller@example.com' }),
  longreq: () => {
    const m = request('longreq');
    expect(m.to.display).toBe(`I have a user name of ${'extreme'.repeat(10)} proportion`);
    expect(m.to.uri?.params.get('unknownparam1')).toBe(`very${'long'.repeat(20)}value`);
    expect(m.to.uri?.params.get(`longparam${'name'.repeat(25)}`)).toBe('shortvalue');
    expect(m.from.uri?.user).toBe('amazinglylongcallername'.repeat(5));
    expect(m.from.params.get('tag')).toBe(`12${'982'.repeat(50)}424`);
    expect(m.callId).toBe(`longreq.one${'really'.repeat(20)}longcallid`);
    expect(m.via).toHaveLength(34);
    expect(m.via.slice(0, 33).map((v) => v.host)).toEqual(
      Array.from({ length: 33 }, (_, i) => `sip${33 - i}.example.com`),
    );
    expect(m.via[33]?.params.get('branch')).toBe(`very${'long'.repeat(50)}branchvalue`);
  },
  dblreq: () => {
    const m = request('dblreq');
    expect([m.method, m.body.length]).toEqual(['REGISTER', 0]);
  },
  semiuri: () => {
    const m = request('semiuri');
    expect(userText(m.uri!)).toBe('user;par=u@example.net');
    expect(m.uri?.params.size).toBe(0);
  },
  transports: () =>
    expect(request('transports').via.map((v) => v.transport)).toEqual(['UDP', 'SCTP', 'TLS', 'UNKNOWN', 'TCP']),
  mpart01: () => {
    const m = request('mpart01');
    expect(m.contentType).toBe('multipart/mixed');
    expect(m.body).toHaveLength(Number(other(m, 'content-length')));
    const binary = Buffer.from(Uint8Array.from({ length: 300 }, (_, i) => (i * 37 + 11) % 256));
    expect(Buffer.from(m.body).includes(binary)).toBe(true);
  },
  unreason: () => {
    const m = read('unreason');
    expect(m).toMatchObject({ status: 200, phrase: '= 2**3 * 5**2 но сто девяносто девять - простое' });
  },
  noreason: () => expect(read('noreason')).toMatchObject({ status: 100, phrase: '' }),
  unkscm: () => expect(request('unkscm').uriText).toBe('nobodyKnowsThisScheme:totallyopaquecontent'),
  novelsc: () => expect(request('novelsc').uriText).toBe('soap.beep://192.0.2.103:3002'),
  unksm2: () => {
    const m = request('unksm2');
    expect([m.to.uriText, m.from.uriText, contacts(m)[0]?.uriText]).toEqual([
      'isbn:2983792873',
      'http://www.example.com',
      'name:John_Smith',
    ]);
    expect([m.to.uri, m.from.uri]).toEqual([undefined, undefined]);
  },
  bext01: () => expect(request('bext01').require).toEqual(['nothingsupportsthis', 'nothingsupportsthiseither']),
  invut: () => expect(request('invut').contentType).toBe('application/unknownformat'),
  regaut01: () => expect(other(request('regaut01'), 'authorization')).toBe('NoOneKnowsThisScheme opaque-data=here'),
  bcast: () => expect(read('bcast').via.map((v) => v.host)).toEqual(['192.0.2.198', '255.255.255.255']),
  zeromf: () => expect(request('zeromf').maxForwards).toBe(0),
  cparam01: () => {
    const [contact] = contacts(request('cparam01'));
    expect([contact?.params.has('unknownparam'), contact?.uri?.params.size]).toEqual([true, 0]);
  },
  cparam02: () => {
    const [contact] = contacts(request('cparam02'));
    expect([contact?.params.size, contact?.uri?.params.has('unknownparam')]).toEqual([0, true]);
  },
  regescrt: () => expect(contacts(request('regescrt'))[0]?.uri?.headers).toBe('Route=%3Csip:sip.example.com%3E'),
  sdp01: () => expect(other(request('sdp01'), 'accept')).toBe('text/nobodyKnowsThis'),
  inv2543: () => {
    const m = request('inv2543');
    expect([m.via[0]?.params.has('branch'), m.from.params.has('tag'), m.maxForwards]).toEqual([
      false,
      false,
      undefined,
    ]);
    expect(bodyOf(m)).toMatch(/^v=0\r\n.*RTP\/AVP 0\r\n$/s);
  },
};

/** §3.1.2, §3.2 and those of §3.3 that are malformed: why they are refused. */
const REFUSED: Readonly<Record<string, SipRefusalReason>> = {
  badinv01: 'via',
  clerr: 'content-length',
  ncl: 'content-length',
  scalar02: 'cseq',
  scalarlg: 'cseq',
  quotbal: 'to',
  ltgtruri: 'start-line',
  lwsruri: 'start-line',
  lwsstart: 'start-line',
  trws: 'start-line',
  escruri: 'start-line',
  baddate: 'date',
  regbadct: 'contact',
  badaspec: 'to',
  baddn: 'from',
  badvers: 'sip-version',
  mismatch01: 'cseq-method',
  mismatch02: 'cseq-method',
  bigcode: 'start-line',
  badbranch: 'via',
  insuf: 'missing-header',
  multi01: 'duplicate-header',
  mcl01: 'duplicate-header',
};

/** What the user agent does: the status that it answers with, `call` for a call, nothing for a response. */
const ANSWER: Readonly<Record<string, string | undefined>> = {
  wsinv: '481', // in a dialog that we do not have
  intmeth: '405',
  esc01: 'call',
  escnull: '405',
  esc02: '405',
  lwsdisp: '200',
  longreq: 'call',
  dblreq: '405',
  semiuri: '200',
  transports: '200',
  mpart01: '405',
  unreason: undefined,
  noreason: undefined,
  scalarlg: undefined,
  bigcode: undefined,
  badvers: '505',
  unkscm: '416',
  novelsc: '416',
  unksm2: '405',
  bext01: '420',
  invut: '415',
  regaut01: '405',
  bcast: undefined,
  zeromf: '200',
  cparam01: '405',
  cparam02: '405',
  regescrt: '405',
  sdp01: '406',
  inv2543: 'call',
};

describe('RFC 4475', () => {
  const names = readdirSync(FOLDER).flatMap((file) => (file.endsWith('.dat') ? [file.slice(0, -4)] : []));

  it('all 49 messages are here, each is valid or not', () => {
    expect(names).toHaveLength(49);
    expect([...Object.keys(MEANING), ...Object.keys(REFUSED)].sort()).toEqual(names.sort());
  });

  it.each(Object.entries(MEANING))('%s is understood', (_, check) => check());

  it.each(Object.entries(REFUSED))('%s is refused: %s', (name, reason) => {
    const result = parseSipMessage(bytesOf(name));
    expect(result.ok ? 'accepted' : result.reason).toBe(reason);
  });

  it.each(names)('the user agent answers %s as it should', (name) => {
    const { sent, events } = toUserAgent(name);
    const expected = name in ANSWER ? ANSWER[name] : '400';
    if (expected === undefined) expect([sent, events]).toEqual([[], []]);
    else if (expected === 'call') {
      expect(sent.map((s) => s.slice(0, 11))).toEqual(['SIP/2.0 100']);
      expect(events).toMatchObject([{ type: 'incoming' }]);
    } else {
      expect(sent.map((s) => s.slice(8, 11))).toEqual([expected]);
      expect(events).toEqual([]);
    }
  });

  it('a refusal names what is not supported, and says what is', () => {
    const [options] = toUserAgent('bext01').sent;
    expect(headerOf(options!, 'Unsupported')).toBe('nothingsupportsthis, nothingsupportsthiseither');
    expect(headerOf(toUserAgent('invut').sent[0]!, 'Accept')).toBe('application/sdp');
    expect(headerOf(toUserAgent('escnull').sent[0]!, 'Allow')).toContain('INVITE');
  });
});

describe('a peer of RFC 2543', () => {
  /** The same transaction without a branch: INVITE, its ACK, its CANCEL. */
  const text = (method: string): string =>
    new TextDecoder()
      .decode(bytesOf('inv2543'))
      .replace('INVITE sip', `${method} sip`)
      .replace('56 INVITE', `56 ${method}`);
  const feed = (bench: Bench, message: string): void => {
    const result = parseSipMessage(new TextEncoder().encode(message));
    if (!result.ok) throw new Error(result.reason);
    bench.put({ type: 'message', connection: 1, message: result.value });
  };

  it('has its INVITE told from another by what else is in it', () => {
    const bench = new Bench({}, 'udp');
    feed(bench, text('INVITE'));
    feed(bench, text('INVITE'));
    feed(bench, text('INVITE').replace('inv2543.1717', 'inv2543.1718'));
    expect(bench.takeEvents().map((e) => e.type)).toEqual(['incoming', 'incoming']);
  });

  it('cancels, and is called by its From', () => {
    const bench = new Bench({}, 'udp');
    feed(bench, text('INVITE'));
    feed(bench, text('CANCEL'));
    expect(bench.lines()).toEqual(['SIP/2.0 100 Trying', 'SIP/2.0 200 OK', 'SIP/2.0 487 Request Terminated']);
    feed(bench, text('ACK'));
    bench.advance(400);
    expect(bench.lines()).toEqual([]);

    feed(bench, text('INVITE').replace('inv2543.1717', 'again').replace('Record-Route', 'Ignored'));
    bench.put({ type: 'accept', call: 2, sdp: 'v=0\r\n' });
    const tag = /To: .*;tag=(\S+)/.exec(bench.take().at(-1)!)?.[1];
    feed(
      bench,
      text('ACK').replace('inv2543.1717', 'again').replace('user=phone\r\nCall', `user=phone;tag=${tag}\r\nCall`),
    );
    bench.put({ type: 'hangup', call: 2 });
    expect(bench.lines()).toEqual(['BYE sip:+13035551111@ift.client.example.net;user=phone SIP/2.0']);
  });
});
