import { describe, expect, it } from 'vitest';
import { REFRESH_MAX_REQUESTS } from '../../../src/base/limits.js';
import {
  askDue,
  forgetRefresh,
  type RefreshRequests,
  refreshDeadline,
  sawRefresh,
  sawSwitch,
  wantRefresh,
} from '../../../src/conference/refresh.js';
import { sourceKey } from '../../../src/conference/speaker.js';

const CAMERA = sourceKey(12, 1);
const SINK_A = sourceKey(22, 1);
const SINK_B = sourceKey(32, 1);
const NONE: RefreshRequests = new Map();
const ASKED = [{ channel: 12, position: 1 }];

/** The times at which the source is asked when only time passes. */
function asks(requests: RefreshRequests, until: number): number[] {
  const at: number[] = [];
  let now = refreshDeadline(requests);
  while (now !== undefined && now <= until) {
    const step = askDue(requests, requests.keys(), now);
    expect(step.ask).toEqual(ASKED);
    at.push(now);
    requests = step.requests;
    now = refreshDeadline(requests);
  }
  return at;
}

describe('asking for refresh points (S3)', () => {
  it('asks at once, then at most once in 500 ms', () => {
    const first = wantRefresh(NONE, CAMERA, [SINK_A], 0);
    expect(first.ask).toEqual(ASKED);
    const second = wantRefresh(first.requests, CAMERA, [SINK_B], 100);
    expect(second.ask).toEqual([]);
    expect(refreshDeadline(second.requests)).toBe(500);
    expect(askDue(second.requests, [CAMERA], 499).ask).toEqual([]);
    expect(askDue(second.requests, [CAMERA], 500).ask).toEqual(ASKED);
  });

  it('asks again after 1 s without an answer, and gives up in the end', () => {
    const { requests } = wantRefresh(NONE, CAMERA, [SINK_A], 0);
    const times = asks(requests, 60_000);
    expect(times.slice(0, 3)).toEqual([1_000, 2_000, 3_000]);
    expect(times).toHaveLength(REFRESH_MAX_REQUESTS - 1);
  });

  it('a new sink that waits starts the count anew', () => {
    let { requests } = wantRefresh(NONE, CAMERA, [SINK_A], 0);
    for (const now of asks(requests, 60_000)) requests = askDue(requests, [CAMERA], now).requests;
    expect(refreshDeadline(requests)).toBeUndefined();
    requests = wantRefresh(requests, CAMERA, [SINK_B], 60_000).requests;
    expect(asks(requests, 90_000)).toHaveLength(REFRESH_MAX_REQUESTS - 1);
  });

  it('stops when every sink has changed over', () => {
    let { requests } = wantRefresh(NONE, CAMERA, [SINK_A, SINK_B], 0);
    requests = sawSwitch(requests, CAMERA, SINK_A);
    expect(refreshDeadline(requests)).toBe(1_000);
    requests = sawSwitch(requests, CAMERA, SINK_B);
    expect(refreshDeadline(requests)).toBeUndefined();
  });

  it('a request that is owed lapses when its sink has changed over meanwhile', () => {
    let { requests } = wantRefresh(NONE, CAMERA, [SINK_A], 0);
    requests = wantRefresh(requests, CAMERA, [SINK_B], 100).requests;
    requests = sawSwitch(sawSwitch(requests, CAMERA, SINK_A), CAMERA, SINK_B);
    expect(refreshDeadline(requests)).toBeUndefined();
  });

  it('a refresh point that a sink missed puts the next request off by 1 s', () => {
    let { requests } = wantRefresh(NONE, CAMERA, [SINK_A], 0);
    requests = sawRefresh(requests, CAMERA, 700);
    expect(refreshDeadline(requests)).toBe(1_700);
    expect(sawRefresh(NONE, CAMERA, 700)).toBe(NONE);
  });

  it('a source without refresh flag is asked once', () => {
    const { requests, ask } = wantRefresh(NONE, CAMERA, [], 0);
    expect(ask).toEqual(ASKED);
    expect(refreshDeadline(requests)).toBeUndefined();
  });

  it('forgets what is no longer planned, but not that it has just asked', () => {
    const { requests } = wantRefresh(NONE, CAMERA, [SINK_A], 0);
    const soon = forgetRefresh(requests, new Map(), () => true, 100);
    expect(refreshDeadline(soon)).toBeUndefined();
    expect(wantRefresh(soon, CAMERA, [SINK_A], 200).ask).toEqual([]);
    expect(forgetRefresh(requests, new Map(), () => true, 500).size).toBe(0);
    expect(forgetRefresh(requests, new Map([[SINK_A, CAMERA]]), () => false, 100).size).toBe(0);
    expect(forgetRefresh(requests, new Map([[SINK_A, CAMERA]]), () => true, 9_000)).toEqual(requests);
  });
});
