/** One dialog for questions and small forms; what is done in it stays open with the problem when it fails. */
import { byId, element } from './dom.js';

export interface Question {
  readonly title: string;
  readonly body: readonly (Node | string)[];
  /** Words of the button that does it. */
  readonly yes: string;
  readonly act: () => Promise<void>;
}

export function ask({ title, body, yes, act }: Question): void {
  const dialog = byId('ask', HTMLDialogElement);
  const button = byId('ask-yes', HTMLButtonElement);
  const problem = byId('ask-problem', HTMLElement);
  byId('ask-title', HTMLElement).textContent = title;
  byId('ask-body', HTMLElement).replaceChildren(
    ...body.map((part) => (typeof part === 'string' ? element('p', {}, part) : part)),
  );
  problem.textContent = '';
  button.textContent = yes;
  button.onclick = (event) => {
    if (!button.form!.reportValidity()) return;
    event.preventDefault();
    act().then(
      () => dialog.close(),
      (error: unknown) => {
        problem.textContent = error instanceof Error ? error.message : String(error);
      },
    );
  };
  dialog.showModal();
}

export function field(words: string, input: HTMLElement): HTMLLabelElement {
  return element('label', {}, words, input);
}

export function choice(options: readonly string[]): HTMLSelectElement {
  return element('select', {}, ...options.map((option) => element('option', { value: option }, option)));
}
