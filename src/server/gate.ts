/** From the configuration to the gate and the accounts that control is given. */
import { randomBytes } from 'node:crypto';
import { Secret } from '../base/secret.js';
import type { ControlOptions } from '../control/contract.js';
import type { Registrar } from '../sip/registrar.js';
import { Registration } from '../sip/registration.js';
import { RequestGate } from '../sip/request-gate.js';
import type { Config } from './config.js';
import { digestAccounts, digestUsers, trunkProfile } from './config-trunks.js';

const NONCE_KEY_BYTES = 32;
const NONCE_VALIDITY_MS = 600_000;

/** @param registrar where endpoints may register; undefined: they may not. */
export function gateOf(
  { trunks: settings, digest }: Config,
  registrar: Registrar | undefined,
): Pick<ControlOptions, 'trunks' | 'gate' | 'registration' | 'credentials'> {
  const trunks = settings.map(trunkProfile);
  const accounts = digestAccounts(digest);
  const users = digestUsers(digest);
  const { realm, algorithms } = digest;
  const nonceKey = new Secret(Uint8Array.from(randomBytes(NONCE_KEY_BYTES)));
  const random = (): string => randomBytes(12).toString('hex');
  const gate = new RequestGate({ trunks, users, realm, algorithms, nonceKey, random });
  const registrationOf = (to: Registrar): Registration =>
    new Registration(to, {
      realm,
      algorithms,
      nonceValidityMs: NONCE_VALIDITY_MS,
      nonceKey,
      random,
      credentials: (name) => users.find((u) => u.name === name)?.hashed,
    });
  return {
    trunks,
    gate,
    ...(registrar === undefined ? {} : { registration: registrationOf(registrar) }),
    credentials: (realm) => accounts.get(realm),
  };
}
