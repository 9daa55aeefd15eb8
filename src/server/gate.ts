/** From the configuration to the gate and the accounts that control is given. */
import { randomBytes } from 'node:crypto';
import { Secret } from '../base/secret.js';
import type { ControlOptions } from '../control/contract.js';
import { RequestGate } from '../sip/request-gate.js';
import type { Config } from './config.js';
import { digestAccounts, digestUsers, trunkProfile } from './config-trunks.js';

const NONCE_KEY_BYTES = 32;

export function gateOf({ trunks: settings, digest }: Config): Pick<ControlOptions, 'trunks' | 'gate' | 'credentials'> {
  const trunks = settings.map(trunkProfile);
  const accounts = digestAccounts(digest);
  const gate = new RequestGate({
    trunks,
    users: digestUsers(digest),
    realm: digest.realm,
    md5: digest.md5,
    nonceKey: new Secret(Uint8Array.from(randomBytes(NONCE_KEY_BYTES))),
    random: () => randomBytes(12).toString('hex'),
  });
  return { trunks, gate, credentials: (realm) => accounts.get(realm) };
}
