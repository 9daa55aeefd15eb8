import { describe, expect, it } from 'vitest';
import { HELP, parseBench } from '../../../bench/arguments.js';

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
        rounds: 9,
        packets: 100_000,
        receivers: [10, 50, 200],
        media: ['video', 'audio'],
      },
    });
    expect(parseBench(['retag'])).toMatchObject({ options: { bench: 'retag', rounds: 15 } });
  });

  it('reads every option', () => {
    const args = 'fanout --json --rounds 5 --packets 1000 --receivers 3,4 --media audio'.split(' ');
    expect(parseBench(args)).toEqual({
      kind: 'run',
      options: { bench: 'fanout', json: true, rounds: 5, packets: 1000, receivers: [3, 4], media: ['audio'] },
    });
  });

  it('refuses an unknown bench with the list of benches', () => {
    expect(refusal('latency')).toBe('no bench latency; there are: retag, fanout, join');
    expect(refusal()).toBe('which bench? retag, fanout');
  });

  it.each([
    [['retag', 'fanout'], 'one bench at a time'],
    [['retag', '--receivers', '5'], '--receivers is for fanout'],
    [['retag', '--media', 'audio'], '--media is for fanout'],
    [['retag', '--rounds', '4'], 'from 5 to 1000'],
    [['retag', '--rounds', '5.5'], 'from 5 to 1000'],
    [['retag', '--rounds', '1e2'], 'from 5 to 1000'],
    [['retag', '--packets', '0'], 'from 1 to'],
    [['fanout', '--receivers', '10,,20'], '--receivers'],
    [['fanout', '--receivers', '4001'], 'from 1 to 4000'],
    [['fanout', '--media', 'text'], 'audio or video'],
    [['fanout', '--nonsense'], "'--nonsense'"],
  ])('refuses %j', (args, message) => {
    expect(refusal(...args)).toContain(message);
  });

  it('tells what is counted', () => {
    const help = parseBench(['fanout', '--help']);
    expect(help).toEqual({ kind: 'help', text: HELP });
    for (const word of ['retag', 'fanout', 'epoll_wait', 'divided by its copies', 'states computed beforehand']) {
      expect(HELP).toContain(word);
    }
  });
});
