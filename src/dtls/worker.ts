/**
 * A negotiation worker: one long task that drives the engines of many associations over one port. It owns their time (the
 * engines have none) and knows neither addresses nor what the keys are for.
 */
import { threadId } from 'node:worker_threads';
import { Secret } from '../base/secret.js';
import type { Association, AssociationFactory, AssociationInput } from './association.js';
import { ENGINES } from './engines.js';
import {
  type FromWorker,
  isLast,
  type ToWorker,
  toWire,
  type WireOptions,
  type WireOutput,
  type WorkerTask,
} from './pool-messages.js';

/** Milliseconds since the epoch that never go back. */
const clock = (): number => performance.timeOrigin + performance.now();

/** One association with its timer. */
class Driver {
  readonly #association: Association;
  readonly #privateKey: Secret;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    factory: AssociationFactory,
    options: WireOptions,
    private readonly onOutputs: (
      taken: boolean,
      consumed: number,
      outputs: WireOutput[],
      transfer: ArrayBuffer[],
    ) => void,
  ) {
    this.#privateKey = new Secret(options.privateKeyPem);
    this.#association = factory({ ...options, privateKeyPem: this.#privateKey });
  }

  /** @param taken the inputs came in a message of the pool */
  input(inputs: readonly AssociationInput[], taken: boolean, consumed = 0): void {
    const outputs: WireOutput[] = [];
    const transfer: ArrayBuffer[] = [];
    for (const input of inputs) {
      this.#association.receive(input, clock());
      for (let out = this.#association.poll(); out !== undefined; out = this.#association.poll()) {
        outputs.push(toWire(out, transfer));
      }
    }
    this.#arm();
    if (taken || outputs.length > 0) this.onOutputs(taken, consumed, outputs, transfer);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#privateKey.wipe();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const at = this.#association.deadline();
    if (at === undefined) return;
    // Rounded up: a timer that fires early would find nothing due and be armed again.
    this.#timer = setTimeout(() => this.input([{ type: 'tick' }], false), Math.max(0, Math.ceil(at - clock())));
  }
}

/** Runs until the pool closes the port. */
export default function serve({ port, engine }: WorkerTask): Promise<void> {
  const drivers = new Map<number, Driver>();
  const post = (message: FromWorker, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

  const remove = (id: number) => {
    drivers.get(id)?.stop();
    drivers.delete(id);
  };
  const open = (id: number, options: WireOptions) => {
    const driver = new Driver(ENGINES[engine], options, (taken, consumed, outputs, transfer) => {
      post({ type: 'outputs', id, taken, consumed, outputs }, transfer);
      if (outputs.some(isLast)) remove(id);
    });
    drivers.set(id, driver);
    driver.input([{ type: 'start' }], true);
  };
  const inputsOf = (message: Exclude<ToWorker, { type: 'open' }>): AssociationInput[] =>
    message.type === 'close' ? [{ type: 'close' }] : message.datagrams.map((bytes) => ({ type: 'datagram', bytes }));
  port.on('message', (message: ToWorker) => {
    if (message.type === 'open') return open(message.id, message.options);
    const driver = drivers.get(message.id);
    const inputs = inputsOf(message);
    // An association that has ended meanwhile: only the room in the window is given back.
    if (driver === undefined) post({ type: 'outputs', id: message.id, taken: true, consumed: 0, outputs: [] });
    else driver.input(inputs, true, message.type === 'datagrams' ? inputs.length : 0);
  });
  return new Promise((resolve) => {
    port.once('close', () => {
      for (const id of [...drivers.keys()]) remove(id);
      resolve();
    });
    post({ type: 'ready', threadId });
  });
}
