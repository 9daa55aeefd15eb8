import { describe, expect, it } from 'vitest';
import { BENCHES, HELP, parseBench } from '../../../bench/arguments.js';

function refusal(...args: string[]): string {
  const parsed = parseBench(args);
  return parsed.kind === 'refused' ? parsed.message : parsed.kind;
}

describe('the command line of the benches', () => {
  it('has defaults of at least 5 rounds', () => {
    expect(parseBench(['fanout'])).toEqual({
      kind: 'run',
      options: {
        bench: 'fanout',
        json: false,
        rounds: 5,
        packets: 20_000,
        ms: 0,
        seconds: 0,
        receivers: [10, 50, 200, 1000],
        media: ['video', 'audio'],
        suites: [1, 17],
      },
    });
    expect(parseBench(['retag'])).toMatchObject({ options: { bench: 'retag', rounds: 15 } });
    for (const bench of BENCHES) {
      const parsed = parseBench([bench]);
      expect(parsed.kind === 'run' && parsed.options.rounds).toBeGreaterThanOrEqual(5);
    }
  });

  it('reads every option', () => {
    const args = 'fanout --json --rounds 5 --packets 1000 --receivers 3,4 --media audio --suites 1'.split(' ');
    expect(parseBench(args)).toEqual({
      kind: 'run',
      options: {
        bench: 'fanout',
        json: true,
        rounds: 5,
        packets: 1000,
        ms: 0,
        seconds: 0,
        receivers: [3, 4],
        media: ['audio'],
        suites: [1],
      },
    });
    expect(parseBench(['latency', '--ms', '50'])).toMatchObject({ options: { bench: 'latency', ms: 50, suites: [1] } });
  });

  it('refuses an unknown bench with the list of benches', () => {
    expect(refusal('speed')).toBe(
      'no bench speed; there are: retag, fanout, latency, capacity, scale, neighbour, join, sip, control, soak',
    );
    expect(refusal()).toBe('which bench? retag, fanout, latency, capacity, scale, neighbour, join, sip, control, soak');
  });

  it.each([
    [['retag', 'fanout'], 'one bench at a time'],
    [['retag', '--receivers', '5'], '--receivers is for fanout, capacity'],
    [['retag', '--media', 'audio'], '--media is for fanout, latency, capacity'],
    [['retag', '--rounds', '4'], 'from 5 to 1000'],
    [['retag', '--rounds', '5.5'], 'from 5 to 1000'],
    [['retag', '--rounds', '1e2'], 'from 5 to 1000'],
    [['retag', '--packets', '0'], 'from 1 to'],
    [['fanout', '--receivers', '10,,20'], '--receivers'],
    [['fanout', '--receivers', '8001'], 'from 1 to 8000'],
    [['fanout', '--media', 'text'], 'audio or video'],
    [['fanout', '--suites', '0'], '--suites'],
    [['fanout', '--ms', '100'], '--ms is for latency, capacity, scale'],
    [['capacity', '--packets', '100'], '--packets is for retag, fanout, scale'],
    [['capacity', '--ms', '1'], 'from 20 to'],
    [['fanout', '--nonsense'], "'--nonsense'"],
  ])('refuses %j', (args, message) => {
    expect(refusal(...args)).toContain(message);
  });

  it('tells what is counted', () => {
    const help = parseBench(['fanout', '--help']);
    expect(help).toEqual({ kind: 'help', text: HELP });
    for (const word of [...BENCHES, 'epoll_wait', 'divided by its copies', 'states computed beforehand']) {
      expect(HELP).toContain(word);
    }
  });
});
