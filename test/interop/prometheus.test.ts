/** Metrics, alert rules and the Grafana dashboard, read by Prometheus' own tool. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { dial } from '../support/caller.js';
import { describeWithPeers } from '../support/peers.js';
import { startSwitch } from '../support/running-switch.js';

const MONITORING = fileURLToPath(new URL('../../src/server/monitoring', import.meta.url));
const RULES = join(MONITORING, 'alerts.yml');
const dashboard = readFileSync(join(MONITORING, 'grafana.json'), 'utf8');
const rules = readFileSync(RULES, 'utf8');

function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', [...args], { input, encoding: 'utf8' });
  expect(`${status} ${stdout}${stderr}`).toMatch(/^0 /);
  return `${stdout}${stderr}`;
}

/** /metrics of a switch that has seen a member, a refused call and a message that is not SIP. */
async function scrape(): Promise<string> {
  const host = await startSwitch();
  try {
    const to = { target: host.target('8000'), caPem: host.caPem };
    await (await dial(to)).call.ready;
    await dial(to, { security: 'plain' }).catch(() => undefined);
    return await (await fetch(`http://127.0.0.1:${host.running.admin.port}/metrics`)).text();
  } finally {
    await host.stop();
  }
}

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describeWithPeers('Prometheus', ['promtool'], () => {
  it('takes the metrics, and finds in them all that alerts and dashboard ask for', async () => {
    const metrics = await scrape();
    promtool(['check', 'metrics'], metrics.replace(/^.*claviger_(nodejs|process)_.*\n/gm, ''));
    const named = (text: string) => new Set(text.match(/claviger[:_][a-z0-9_:]+/g));
    const defined = named(metrics);
    const recorded = new Set([...rules.matchAll(/record: (\S+)/g)].map((m) => m[1]!));
    const asked = [...named(rules), ...named(dashboard)].filter((name) => !recorded.has(name));
    expect(asked.length).toBeGreaterThan(20);
    expect(asked.filter((name) => !defined.has(name))).toEqual([]);
    // Every label value is of a fixed set: what a caller calls itself, or dials, is in none.
    expect(metrics).not.toMatch(/="[^"]*(8000|127\.0\.0\.1)/);
    expect(metrics).toMatch(/claviger_dtls_handshake_seconds_count\{outcome="keys"\} 2/);
    expect(metrics).toMatch(/claviger_negotiation_seconds_count 1/);
    expect(metrics).toMatch(/claviger_relay_bytes_total\{direction="received"\} [1-9]/);
    expect(metrics).toMatch(/claviger_build_info\{version="[\d.]+",node="v[\d.]+",dtls_engine="(openssl|werift)"\} 1/);
  });

  it('takes the rules, and every expression of the dashboard', () => {
    promtool(['check', 'rules', RULES]);
    const { panels } = JSON.parse(dashboard) as { panels: { title: string; targets: { expr: string }[] }[] };
    const lines = panels.flatMap(({ targets }) =>
      targets.map(
        ({ expr }, i) =>
          `      - record: panel:${i}\n        expr: ${JSON.stringify(expr.replaceAll('$instance', '.*'))}`,
      ),
    );
    const file = join(folder, 'panels.yml');
    writeFileSync(file, `groups:\n  - name: panels\n    rules:\n${lines.join('\n')}\n`);
    promtool(['check', 'rules', '--lint=none', file]);
    expect(lines.length).toBeGreaterThanOrEqual(15);
  });

  it('fires on a downgrade and on a critical event, and not without', () => {
    const file = join(folder, 'test.yml');
    const series = (name: string, values: string) => `      - { series: '${name}', values: '${values}' }`;
    const alert = (name: string, expected: string) =>
      `      - { eval_time: 10m, alertname: ${name}, exp_alerts: [${expected}] }`;
    writeFileSync(
      file,
      [
        `rule_files: ['${RULES}']`,
        'evaluation_interval: 1m',
        'tests:',
        '  - interval: 1m',
        '    input_series:',
        series('claviger_security_events_total{instance="a",code="conference-downgraded",severity="warn"}', '0x7 1x10'),
        series('claviger_security_events_total{instance="a",code="dtls-failed",severity="error"}', '5x20'),
        series('claviger_audit_store_up{instance="a"}', '1x5 0x10'),
        series('claviger_ready{instance="a"}', '1x20'),
        '    alert_rule_test:',
        alert('ClavigerCriticalSecurityEvent', ''),
        alert('ClavigerNotReady', ''),
        alert(
          'ClavigerAuditStoreDown',
          "{ exp_labels: { instance: a, severity: critical }, exp_annotations: { summary: 'Security events on a wait in memory', remedy: 'Make room on the disk of the audit store, or mend its folder; conferences go on meanwhile.' } }",
        ),
        alert(
          'ClavigerConferenceDowngraded',
          "{ exp_labels: { instance: a, code: conference-downgraded, severity: warning }, exp_annotations: { summary: 'A conference on a is no longer at its earlier level', remedy: 'GET /events?code=conference-downgraded names the endpoint that lowered it, and why.' } }",
        ),
        '',
      ].join('\n'),
    );
    promtool(['test', 'rules', file]);
  });
});
