/** The audit store of a running switch. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AuditStore } from '../../src/server/events/audit-store.js';
import { dial } from '../support/caller.js';
import { killAll, serve } from '../support/cli.js';
import { startSwitch, until } from '../support/running-switch.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
});
afterEach(() => {
  killAll();
  rmSync(folder, { recursive: true, force: true });
});

describe('a security event', () => {
  it('is in the store and the log before the call is answered: killed at the answer, the switch has told already', async () => {
    const { child, output, exit } = serve(folder);
    await until('it listens', () => output.text.includes('Call it:'));
    const port = /sips:127\.0\.0\.1:(\d+) /.exec(output.text)![1];
    const caPem = readFileSync(join(folder, 'ca.pem'), 'utf8');
    const refused = await dial({ target: `sips:8000@127.0.0.1:${port}`, caPem }, { security: 'plain' }).catch(
      (error: unknown) => {
        child.kill('SIGKILL');
        return error;
      },
    );
    expect(refused).toMatchObject({ status: 488 });
    expect(await exit).toBeNull();
    const store = new AuditStore(join(folder, 'audit.db'), { maxAgeMs: 1e12, maxBytes: 1e8 });
    const stored = store.query({}, 10);
    store.close();
    expect(stored).toMatchObject([{ code: 'security-mismatch', conference: '8000', source: '127.0.0.1' }]);
    expect(output.text).toContain(`"id":"${stored[0]!.id}"`);
  });

  it('that cannot be stored stops no conference: the alarm is raised, and it waits in memory', async () => {
    const host = await startSwitch({ 'events-file': '/dev/full/audit.db' });
    try {
      const to = { target: host.target('8000'), caPem: host.caPem };
      await dial(to, { security: 'plain' }).catch(() => undefined);
      const ann = await dial(to, { name: 'ann' });
      const bob = await dial(to, { name: 'bob' });
      await until('media flows', () => ann.received.length > 20 && bob.received.length > 20);
      expect(host.events.map((e) => e.code)).toEqual(['audit-failed', 'security-mismatch']);
      expect(host.log.some((line) => line.includes('the audit store does not work'))).toBe(true);
      const metrics = await (await fetch(`http://127.0.0.1:${host.running.admin.port}/metrics`)).text();
      expect(metrics).toContain('claviger_audit_store_up 0');
      expect(metrics).toContain('claviger_queue_depth{queue="audit_store"} 2');
    } finally {
      await host.stop();
    }
  });
});
