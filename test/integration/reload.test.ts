/** SIGHUP to a serving process: certificates of SIP and of the administration port, and its clients' authority, are read again (X4). */
import { mkdirSync, symlinkSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:tls';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { claviger, killAll } from '../support/cli.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { type Identity, issue, put } from '../support/pki.js';
import { until } from '../support/running-switch.js';

let place: Place;
beforeEach(async () => {
  place = await makePlace();
});
afterEach(async () => {
  killAll();
  await place.close();
});

/** Common name of the certificate that a port shows. */
function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: place.root.pem }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** What the API says to somebody with this certificate. */
function asked(port: number, client: Identity): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/conferences', ca: place.root.pem };
    const made = request({ ...options, cert: client.pem, key: client.keyPem, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    made.on('error', reject);
    made.end();
  });
}

it('SIGHUP brings new certificates into force at every port, and another authority of the API’s clients', async () => {
  const [before, after] = [await issue(undefined, { cn: 'old CA' }), await issue(undefined, { cn: 'new CA' })];
  const [old, fresh] = [await issue(before, { cn: 'ann' }), await issue(after, { cn: 'ann' })];
  put(place.folder, 'tls/clients.pem', before.pem);
  // Whoever watches the folder of the links sees nothing of what they lead to: only the signal can bring it.
  mkdirSync(place.file('links'));
  for (const name of ['server', 'key', 'ca', 'clients'])
    symlinkSync(place.file(`tls/${name}.pem`), place.file(`links/${name}.pem`));
  const file = put(
    place.folder,
    'serve.toml',
    `[data]\ndir = "${place.file('data')}"\n[sip]\naddress = "127.0.0.1"\nport = 0\n[media]\naddress = "127.0.0.1"\n` +
      `[tls]\ncertificate = "${place.file('links/server.pem')}"\nkey = "${place.file('links/key.pem')}"\nca = "${place.file('links/ca.pem')}"\n` +
      `[admin]\nport = 0\nclientCa = "${place.file('links/clients.pem')}"\n[[admin.clients]]\nsubject = "ann"\nrole = "viewer"\n`,
  );
  const { child, output } = claviger(['serve', '--config', file], { CLAVIGER_LOG_LEVEL: 'info' });
  const ports = (): number[] =>
    [/sips:127\.0\.0\.1:(\d+)/, /health\s+http:\/\/127\.0\.0\.1:(\d+)/].map((p) => Number(p.exec(output.text)?.[1]));
  await until('it listens', () => output.text.includes('Call it:') && ports().every((port) => port > 0));
  const [sip, admin] = ports() as [number, number];
  expect([await shown(sip), await shown(admin)]).toEqual(['switch', 'switch']);
  expect([await asked(admin, old), await asked(admin, fresh)]).toEqual([200, 401]);

  const renewed = await issue(place.root, { cn: 'renewed', names: ['127.0.0.1'] });
  put(place.folder, 'tls/server.pem', renewed.pem);
  put(place.folder, 'tls/key.pem', renewed.keyPem);
  put(place.folder, 'tls/clients.pem', after.pem);
  child.kill('SIGHUP');
  await until(
    'the new certificates',
    async () => (await shown(sip)) === 'renewed' && (await shown(admin)) === 'renewed',
  );
  expect([await asked(admin, old), await asked(admin, fresh)]).toEqual([401, 200]);
  expect(child.exitCode).toBeNull();

  put(place.folder, 'tls/key.pem', (await issue(undefined)).keyPem);
  child.kill('SIGHUP');
  await until('the complaint', () => output.text.includes('certificates were not read again'));
  expect([await shown(sip), await shown(admin)]).toEqual(['renewed', 'renewed']);
});
