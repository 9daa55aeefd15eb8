import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { type Flag, helpOfFlags, parseFlags } from './arguments.js';
import type { Command } from './command.js';

const FLAGS: readonly Flag[] = [
  { name: 'trunk', value: 'NAME', help: 'trunk to call through; default: the only one that there is' },
  { name: 'api', value: 'URL', help: 'administration API of the switch', default: 'https://127.0.0.1:8061' },
  { name: 'token-file', value: 'FILE', help: 'file with a token of role operator', default: 'data/admin-token' },
  { name: 'ca', value: 'FILE', help: 'authority that issued the switch its certificate', default: 'data/ca.pem' },
];

const HELP = `Usage: claviger dial CONFERENCE TARGET [flags]

Lets the switch call an endpoint into a conference and waits for the answer. TARGET is a number or name at the trunk's peer, a
sip: or sips: URI, or an endpoint that has registered. Exit 0: answered; 1: not.`;

const POLL_MS = 250;

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

function ask(
  method: string,
  url: URL,
  auth: { readonly token: string; readonly ca: Buffer },
  body?: unknown,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      authorization: `Bearer ${auth.token}`,
      ...(sent === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) }),
    };
    const asked = request(url, { method, headers, ca: auth.ca, timeout: 10_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => void chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] });
        } catch {
          reject(new Error(`not an answer of the administration API: ${text.slice(0, 80)}`));
        }
      });
    });
    asked.on('timeout', () => void asked.destroy(new Error('no answer within 10 s')));
    asked.on('error', reject);
    asked.end(sent);
  });
}

async function dial(
  conference: string,
  target: string,
  flags: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const {
    trunk,
    api = 'https://127.0.0.1:8061',
    'token-file': tokenFile = 'data/admin-token',
    ca = 'data/ca.pem',
  } = flags;
  const auth = { token: readFileSync(tokenFile, 'utf8').trim(), ca: readFileSync(ca) };
  const calls = new URL(`/conferences/${encodeURIComponent(conference)}/calls`, api);
  const made = await ask('POST', calls, auth, { target, ...(trunk === undefined ? {} : { trunk }) });
  if (made.status !== 202) {
    console.error(`claviger dial: ${String(made.body.detail ?? made.body.title ?? made.status)}`);
    return 1;
  }
  const own = new URL(`${calls.pathname}/${String(made.body.id)}`, api);
  for (;;) {
    const { body } = await ask('GET', own, auth);
    if (body.state === 'answered') {
      console.log(`${target} is in conference ${conference}`);
      return 0;
    }
    if (body.state !== 'dialling') {
      const status = typeof body.status === 'number' ? `${body.status} ` : '';
      console.error(`claviger dial: ${target}: ${status}${String(body.reason ?? body.state)}`);
      return 1;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export const dialCommand: Command = {
  name: 'dial',
  summary: 'let the switch call an endpoint into a conference',
  help: () => `${HELP}\n\n${helpOfFlags(FLAGS)}`,
  run: async (args) => {
    const parsed = parseFlags(args, FLAGS, 2);
    const [conference, target] = parsed.ok ? parsed.value.positionals : [];
    if (!parsed.ok || conference === undefined || target === undefined) {
      console.error(`claviger dial: ${parsed.ok ? 'a conference and a target are needed' : parsed.detail}`);
      return 2;
    }
    try {
      return await dial(conference, target, parsed.value.flags as Readonly<Record<string, string | undefined>>);
    } catch (error) {
      console.error(`claviger dial: ${error instanceof Error ? error.message : String(error)}`);
      return 1;
    }
  },
};
