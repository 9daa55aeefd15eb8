/** Which peer a call goes to next, and what is never tried again (RFC 3261 §8.1.3.1, §21.5.4). */
import { describe, expect, it } from 'vitest';
import { DialAttempts, type DialFailure, type DialStep } from '../../../src/sip/dial-attempts.js';

/** What is tried when each try ends as told; waits are sat out. */
function course(peers: number, ends: readonly DialFailure[]): string[] {
  let now = 1_000_000;
  const attempts = new DialAttempts(peers, now);
  const out: string[] = [];
  for (const failure of [...ends, undefined]) {
    let step: DialStep = attempts.next(now);
    while (step.type === 'wait') {
      out.push(`wait ${(step.untilMs - now) / 1_000} s`);
      now = step.untilMs;
      step = attempts.next(now);
    }
    out.push(step.type === 'try' ? `peer ${step.peer}` : step.type);
    if (step.type === 'over' || failure === undefined) break;
    attempts.failed(step.peer, failure, now);
  }
  return out;
}

describe('a call that we make', () => {
  it.each<[string, number, readonly DialFailure[], readonly string[]]>([
    ['goes to the first peer', 2, [], ['peer 0']],
    ['goes on to the next where nobody answers', 2, [{ status: 'unreachable' }], ['peer 0', 'peer 1']],
    ['goes on after a time-out', 2, [{ status: 408 }], ['peer 0', 'peer 1']],
    ['goes on after 503', 2, [{ status: 503 }], ['peer 0', 'peer 1']],
    ['is over when all have failed', 2, [{ status: 503 }, { status: 'unreachable' }], ['peer 0', 'peer 1', 'over']],
    [
      'waits as Retry-After asks, once',
      1,
      [
        { status: 503, retryAfterSeconds: 3 },
        { status: 503, retryAfterSeconds: 3 },
      ],
      ['peer 0', 'wait 3 s', 'peer 0', 'over'],
    ],
    [
      'tries the others before it waits',
      2,
      [{ status: 503, retryAfterSeconds: 3 }, { status: 'unreachable' }],
      ['peer 0', 'peer 1', 'wait 3 s', 'peer 0'],
    ],
    ['does not wait for ever', 1, [{ status: 503, retryAfterSeconds: 3_600 }], ['peer 0', 'over']],
  ])('%s', (_, peers, ends, expected) => {
    expect(course(peers, ends)).toEqual(expected);
  });

  it.each([302, 400, 401, 403, 404, 407, 480, 486, 488, 500, 504, 600, 603, 606])(
    'takes %i as final: no other peer, no other time, no other offer',
    (status) => {
      expect(course(3, [{ status, retryAfterSeconds: 1 }])).toEqual(['peer 0', 'over']);
    },
  );
});
