/** Bad input is answered or counted, never logged one by one, and changes nothing. */
import { connect } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

const head = (method: string, n: number): string =>
  `${method} sips:8000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS a.example;branch=z9hG4bK${n}\r\nFrom: <sips:a@a.example>;tag=1\r\n` +
  `To: <sips:8000@127.0.0.1>\r\nCall-ID: ${n}\r\nCSeq: 1 ${method}\r\nContact: <sips:a@a.example>\r\nMax-Forwards: 70\r\n`;

function invite(n: number, sdp: string): string {
  return `${head('INVITE', n)}Content-Type: application/sdp\r\nContent-Length: ${sdp.length}\r\n\r\n${sdp}`;
}

describe('bad input', () => {
  it('SIP and SDP: each message has its answer with a reason, each kind its count, and the log a line or two', async () => {
    host = await startSwitch();
    const { port } = host.running.sip;
    const socket = connect({ host: '127.0.0.1', port, ca: host.caPem });
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
    });
    const answers = (status: number): number => heard.split(`SIP/2.0 ${status} `).length - 1;
    for (let n = 0; n < 20; n++) socket.write(invite(n, 'v=0\r\nnot sdp\r\n'));
    for (let n = 20; n < 40; n++)
      socket.write(`${head('OPTIONS', n).replace('CSeq: 1 OPTIONS', 'CSeq: one OPTIONS')}Content-Length: 0\r\n\r\n`);
    for (let n = 40; n < 60; n++) socket.write(`${head('PUBLISH', n)}Content-Length: 0\r\n\r\n`);
    await until('all answers', () => answers(488) === 20 && answers(405) === 20);
    expect(heard).toMatch(/Warning: 399 claviger "SDP refused: line-syntax/);
    expect(heard).toMatch(/Reason: SIP;cause=488;text="SDP refused/);
    const metrics = await (await fetch(`http://127.0.0.1:${host.running.admin.port}/metrics`)).text();
    expect(metrics).toContain('claviger_refused_inputs_total{protocol="sdp",reason="line-syntax"} 20');
    expect(metrics).toMatch(/claviger_refused_inputs_total\{protocol="sip",reason="[a-z-]+"\} 20/);
    expect(metrics).toContain('claviger_sip_refusals_total{status="488"} 20');
    const lines = host.log.map((line) => JSON.parse(line) as { level: number });
    expect(lines.filter((line) => line.level >= 30).length).toBeLessThanOrEqual(2);
    expect(host.running.conferenceLevel('8000')).toBeUndefined();
    socket.destroy();
  });

  it('calls to a full switch: 503 with Retry-After', async () => {
    host = await startSwitch({ 'conferences-max': '1' });
    const socket = connect({ host: '127.0.0.1', port: host.running.sip.port, ca: host.caPem });
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
    });
    const line = (media: string, codec: string): string =>
      `m=${media} 5004 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 ${codec}\r\na=rtcp-mux\r\na=setup:actpass\r\n`;
    const print = Array.from({ length: 32 }, () => 'AB').join(':');
    const sdp =
      `v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\na=fingerprint:sha-256 ${print}\r\n` +
      `${line('audio', 'opus/48000/2')}${line('video', 'H264/90000')}a=fmtp:96 packetization-mode=1\r\n`;
    socket.write(invite(1, sdp));
    await until('the first is answered', () => heard.includes('SIP/2.0 200 '));
    socket.write(invite(2, sdp).replaceAll('8000@', '8001@'));
    await until('the second is refused', () => heard.includes('SIP/2.0 503 '));
    expect(heard.slice(heard.indexOf('SIP/2.0 503 '))).toMatch(/Retry-After: \d+\r\n/);
    socket.destroy();
  });
});
