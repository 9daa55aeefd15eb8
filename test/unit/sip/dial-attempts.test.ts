/** Which peer a call goes to next, and what is never tried again (RFC 3261 §8.1.3.1, §21.5.4). */
import { describe, expect, it } from 'vitest';
import { DialAttempts, type DialFailure, type DialStep } from '../../../src/sip/dial-attempts.js';

/** What is tried when each try ends as told, each after so long; waits are sat out. Each peer has so many servers. */
function course(peers: readonly number[], ends: readonly DialFailure[], eachMs = 0): string[] {
  let now = 1_000_000;
  const attempts = new DialAttempts(peers.length, now);
  const out: string[] = [];
  for (const failure of [...ends, undefined]) {
    let step: DialStep = attempts.next(now);
    for (; step.type === 'wait' || step.type === 'locate'; step = attempts.next(now)) {
      if (step.type === 'locate') {
        out.push(`locate ${step.peer}`);
        attempts.located(peers[step.peer]!, now);
      } else {
        out.push(`wait ${(step.untilMs - now) / 1_000} s`);
        now = step.untilMs;
      }
    }
    out.push(step.type === 'try' ? `server ${step.server}` : step.type);
    if (step.type === 'over' || failure === undefined) break;
    now += eachMs;
    attempts.failed(step.server, failure, now);
  }
  return out;
}

const GONE: DialFailure = { status: 'unreachable' };
const LATER: DialFailure = { status: 503, retryAfterSeconds: 3 };

describe('a call that we make', () => {
  it.each<[string, readonly number[], readonly DialFailure[], readonly string[]]>([
    ['goes to the first peer', [1, 1], [], ['locate 0', 'server 0']],
    ['goes on to the next where nobody answers', [1, 1], [GONE], ['locate 0', 'server 0', 'locate 1', 'server 1']],
    ['goes on after a time-out', [1, 1], [{ status: 408 }], ['locate 0', 'server 0', 'locate 1', 'server 1']],
    ['goes on after 503', [1, 1], [{ status: 503 }], ['locate 0', 'server 0', 'locate 1', 'server 1']],
    [
      'tries all servers of a peer before it asks for those of the next',
      [3, 1],
      [GONE, { status: 408 }, { status: 503 }],
      ['locate 0', 'server 0', 'server 1', 'server 2', 'locate 1', 'server 3'],
    ],
    ['passes a peer that has none', [0, 0, 1], [], ['locate 0', 'locate 1', 'locate 2', 'server 0']],
    ['is over when no peer has any', [0], [], ['locate 0', 'over']],
    ['is over when all have failed', [2], [{ status: 503 }, GONE], ['locate 0', 'server 0', 'server 1', 'over']],
    ['waits as Retry-After asks, once', [1], [LATER, LATER], ['locate 0', 'server 0', 'wait 3 s', 'server 0', 'over']],
    [
      'tries the others before it waits',
      [1, 1],
      [LATER, GONE],
      ['locate 0', 'server 0', 'locate 1', 'server 1', 'wait 3 s', 'server 0'],
    ],
    ['does not wait for ever', [1], [{ ...LATER, retryAfterSeconds: 3_600 }], ['locate 0', 'server 0', 'over']],
  ])('%s', (_, peers, ends, expected) => {
    expect(course(peers, ends)).toEqual(expected);
  });

  it('does not search for ever: after a minute no further server is tried', () => {
    const silent: DialFailure = { status: 408 };
    expect(course([8], Array(8).fill(silent), 32_000)).toEqual(['locate 0', 'server 0', 'server 1', 'over']);
  });

  it.each([302, 400, 401, 403, 404, 407, 480, 486, 488, 500, 504, 600, 603, 606])(
    'takes %i as final: no other server, no other time, no other offer',
    (status) => {
      expect(course([2, 1], [{ status, retryAfterSeconds: 1 }])).toEqual(['locate 0', 'server 0', 'over']);
    },
  );
});
