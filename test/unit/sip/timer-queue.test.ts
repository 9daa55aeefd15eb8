import { expect, it } from 'vitest';
import { TimerQueue } from '../../../src/sip/timer-queue.js';
import { seeded } from './support.js';

it('agrees with a plain map under random use', () => {
  const random = seeded(7);
  const queue = new TimerQueue<number>();
  const plain = new Map<number, number>();
  for (let step = 0; step < 5_000; step++) {
    const key = Math.floor(random() * 50);
    const at = Math.floor(random() * 1_000);
    const choice = random();
    if (choice < 0.5) {
      queue.set(key, at);
      plain.set(key, at);
    } else if (choice < 0.7) {
      queue.set(key, undefined);
      plain.delete(key);
    } else if (choice < 0.9) {
      const due = queue.takeDue(at);
      const earliest = plain.size === 0 ? undefined : Math.min(...plain.values());
      if (earliest === undefined || earliest > at) expect(due).toBeUndefined();
      else {
        expect(plain.get(due!)).toBe(earliest);
        plain.delete(due!);
      }
    }
    expect(queue.next()).toBe(plain.size === 0 ? undefined : Math.min(...plain.values()));
    expect(queue.size).toBe(plain.size);
  }
});
