/** Requests to the administration API, and the live stream of events. */
import type { SecurityEvent } from './types.js';

/** A request that was not answered as hoped; `status` 0: no answer at all. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const TOKEN = 'claviger-token';
const STREAM_RETRY_MS = 2_000;

/** Of this tab, and gone with it. */
export const tokenStore = {
  get: (): string | null => sessionStorage.getItem(TOKEN),
  set: (token: string): void => sessionStorage.setItem(TOKEN, token),
  clear: (): void => sessionStorage.removeItem(TOKEN),
};

function headers(): Record<string, string> {
  const token = tokenStore.get();
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

async function send(method: string, path: string, body: unknown): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: { ...headers(), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, 'the switch does not answer');
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as { title?: string; detail?: string };
  throw new ApiError(response.status, problem.detail ?? problem.title ?? `status ${response.status}`);
}

export async function get<T>(path: string): Promise<T> {
  return (await (await send('GET', path, undefined)).json()) as T;
}

export async function change(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<void> {
  await send(method, path, body);
}

export interface StreamHandlers {
  readonly onEvent: (event: SecurityEvent) => void;
  /** Live, or trying again. */
  readonly onState: (live: boolean) => void;
}

/**
 * Events as they happen, resumed where it stopped when the connection is lost. Not EventSource: that cannot send a token.
 * @param after id of the last event that is known. @returns ends it.
 */
export function follow(after: string | undefined, handlers: StreamHandlers): () => void {
  const stop = new AbortController();
  let last = after;
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        const resume = last === undefined ? {} : { 'last-event-id': last };
        const response = await fetch('/events/stream', { headers: { ...headers(), ...resume }, signal: stop.signal });
        if (!response.ok || response.body === null) throw new ApiError(response.status, 'no stream');
        handlers.onState(true);
        for await (const event of messages(response.body)) {
          last = event.id;
          handlers.onEvent(event);
        }
      } catch {
        // Whatever ended it, the loop begins anew: the state says so meanwhile.
      }
      if (stop.signal.aborted) return;
      handlers.onState(false);
      await new Promise((resolve) => setTimeout(resolve, STREAM_RETRY_MS));
    }
  };
  void run();
  return () => stop.abort();
}

async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<SecurityEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let text = '';
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    text += chunk.value;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end));
      text = text.slice(end + 2);
      if (data !== null) yield JSON.parse(data[1]!) as SecurityEvent;
    }
  }
}
