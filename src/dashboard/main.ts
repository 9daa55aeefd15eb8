/** The operators' page: signs in, asks how things are, and shows it. */
import { ApiError, change, get, tokenStore } from './api.js';
import { ask, choice, field } from './ask.js';
import { ConferenceList } from './conferences.js';
import { Detail } from './detail.js';
import { byId, element, setText } from './dom.js';
import { EventList } from './events.js';
import type { Caller, Conference, ConferenceDetail, Health } from './types.js';

const UPDATE_INTERVAL_MS = 2_000;
/** Many events are no reason to ask without a pause. */
const AGAIN_AFTER_MS = 250;

let caller: Caller | undefined;
let health: Health | undefined;
let chosen: string | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let updating: Promise<void> | undefined;
let again = false;

const mayOperate = (): boolean => caller?.role === 'operator' || caller?.role === 'admin';
const list = new ConferenceList((name) => {
  chosen = name;
  list.choose(name);
  void showDetail().then(
    () => byId('detail', HTMLElement).focus(),
    () => void update(),
  );
});
const detail = new Detail(mayOperate, () => void update());
// A new event is when a level has changed: look at once.
const events = new EventList(() => void update());

function show(page: 'login' | 'watch'): void {
  byId('login', HTMLElement).hidden = page !== 'login';
  byId('watch', HTMLElement).hidden = page !== 'watch';
}

function signOut(words: string): void {
  clearTimeout(timer);
  events.stop();
  tokenStore.clear();
  caller = undefined;
  byId('who', HTMLElement).replaceChildren();
  setText(byId('state', HTMLElement), '');
  setText(byId('login-problem', HTMLElement), words);
  show('login');
  byId('token', HTMLInputElement).focus();
}

async function signIn(): Promise<void> {
  caller = await get<Caller>('/whoami');
  const out = element('button', { type: 'button' }, 'Sign out');
  out.addEventListener('click', () => signOut(''));
  const who = byId('who', HTMLElement);
  who.replaceChildren(element('span', {}, `${caller.name} (${caller.role})`));
  if (tokenStore.get() !== null) who.append(out);
  byId('create', HTMLElement).hidden = !mayOperate();
  byId('drain', HTMLElement).hidden = caller.role !== 'admin';
  show('watch');
  await events.start();
  await update();
}

/** Shows how it is now. Who asks while that is under way gets it once more after it, so that nothing older stays. */
function update(): Promise<void> {
  if (updating !== undefined) {
    again = true;
    return updating;
  }
  clearTimeout(timer);
  updating = once().finally(() => {
    updating = undefined;
    if (caller === undefined) return;
    timer = setTimeout(() => void update(), again ? AGAIN_AFTER_MS : UPDATE_INTERVAL_MS);
    again = false;
  });
  return updating;
}

async function once(): Promise<void> {
  if (caller === undefined) return;
  try {
    const conferences = await get<Conference[]>('/conferences');
    health = await get<Health>('/health');
    list.update(conferences);
    await showDetail();
    const state = health.draining ? 'draining: no new conferences' : health.ready ? 'ready' : 'not ready';
    setText(byId('state', HTMLElement), `Version ${health.version}, ${state}`);
    setText(byId('drain', HTMLElement), health.draining ? 'Stop draining' : 'Drain…');
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return signOut('The token is not valid any more.');
    const words = error instanceof Error ? error.message : String(error);
    setText(byId('state', HTMLElement), `Not up to date: ${words}`);
  }
}

async function showDetail(): Promise<void> {
  if (chosen === undefined) return;
  if (!list.has(chosen)) {
    detail.clear(`Conference ${chosen} is over.`);
    chosen = undefined;
    list.choose(undefined);
    return;
  }
  detail.show(await get<ConferenceDetail>(`/conferences/${encodeURIComponent(chosen)}`));
}

function askCreate(): void {
  const name = element('input', { required: '', pattern: '[A-Za-z0-9._\\-]{1,64}', autocomplete: 'off' });
  const policy = choice(['secure', 'best-effort', 'non-secure']);
  const switching = choice(['site', 'segment']);
  ask({
    title: 'New conference',
    body: [
      field('Name, as it is dialled (letters, digits, . _ -)', name),
      field('Policy', policy),
      field('Switching', switching),
    ],
    yes: 'Make it',
    act: async () => {
      await change('POST', '/conferences', { name: name.value, policy: policy.value, switching: switching.value });
      chosen = name.value;
      await update();
      list.choose(chosen);
    },
  });
}

function askDrain(): void {
  if (health?.draining === true) {
    void change('DELETE', '/drain').then(update);
    return;
  }
  const minutes = element('input', { type: 'number', min: '0', max: '10080', step: '1' });
  ask({
    title: 'Take no new conferences?',
    body: [
      'Those that run end by themselves. It can be taken back.',
      field('End what still runs after minutes (empty: never)', minutes),
    ],
    yes: 'Drain',
    act: async () => {
      await change('PUT', '/drain', minutes.value === '' ? {} : { deadlineSeconds: minutes.valueAsNumber * 60 });
      await update();
    },
  });
}

byId('create', HTMLElement).addEventListener('click', askCreate);
byId('drain', HTMLElement).addEventListener('click', askDrain);
byId('login-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  const input = byId('token', HTMLInputElement);
  tokenStore.set(input.value.trim());
  input.value = '';
  signIn().catch((error: unknown) => {
    const refused = error instanceof ApiError && error.status === 401;
    signOut(refused ? 'This token is not valid.' : error instanceof Error ? error.message : String(error));
  });
});

// A client certificate, or the token of this tab, may be enough already.
signIn().catch(() => signOut(''));
