/**
 * A negotiation worker: one long task that drives the engines of many associations over one port. It owns their time (the
 * engines have none) and knows neither addresses nor what the keys are for.
 */
import { threadId } from 'node:worker_threads';
import { unreachable } from '../base/result.js';
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
    private readonly onOutputs: (consumed: number, outputs: WireOutput[], transfer: ArrayBuffer[]) => void,
  ) {
    this.#privateKey = new Secret(options.privateKeyPem);
    this.#association = factory({ ...options, privateKeyPem: this.#privateKey });
  }

  input(inputs: readonly AssociationInput[], consumed = 0): void {
    const outputs: WireOutput[] = [];
    const transfer: ArrayBuffer[] = [];
    for (const input of inputs) {
      this.#association.receive(input, clock());
      for (let out = this.#association.poll(); out !== undefined; out = this.#association.poll()) {
        outputs.push(toWire(out, transfer));
      }
    }
    this.#arm();
    if (consumed > 0 || outputs.length > 0) this.onOutputs(consumed, outputs, transfer);
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
    this.#timer = setTimeout(() => this.input([{ type: 'tick' }]), Math.max(0, Math.ceil(at - clock())));
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
    const driver = new Driver(ENGINES[engine], options, (consumed, outputs, transfer) => {
      post({ type: 'outputs', id, consumed, outputs }, transfer);
      if (outputs.some(isLast)) remove(id);
    });
    drivers.set(id, driver);
    driver.input([{ type: 'start' }]);
  };
  port.on('message', (message: ToWorker) => {
    switch (message.type) {
      case 'open':
        open(message.id, message.options);
        break;
      case 'datagrams':
        drivers.get(message.id)?.input(
          message.datagrams.map((bytes) => ({ type: 'datagram', bytes })),
          message.datagrams.length,
        );
        break;
      case 'close':
        drivers.get(message.id)?.input([{ type: 'close' }]);
        break;
      default:
        unreachable(message, 'message to a DTLS worker');
    }
  });
  return new Promise((resolve) => {
    port.once('close', () => {
      for (const id of [...drivers.keys()]) remove(id);
      resolve();
    });
    post({ type: 'ready', threadId });
  });
}
