/** Many deadlines, one per key: the next one in O(1), changes in O(log n). A binary heap whose stale entries are skipped. */
interface Entry<K> {
  readonly key: K;
  readonly at: number;
}

export class TimerQueue<K> {
  #heap: Entry<K>[] = [];
  readonly #live = new Map<K, Entry<K>>();

  get size(): number {
    return this.#live.size;
  }

  /** Sets, moves or (with undefined) clears the deadline of a key. */
  set(key: K, at: number | undefined): void {
    const current = this.#live.get(key);
    if (at === undefined) {
      if (current !== undefined) this.#live.delete(key);
    } else if (current?.at !== at) {
      const entry = { key, at };
      this.#live.set(key, entry);
      this.#push(entry);
    }
    // Stale entries may not outgrow the live ones: memory stays bounded by what is alive.
    if (this.#heap.length > 2 * this.#live.size + 64) {
      this.#heap = [...this.#live.values()].sort((a, b) => a.at - b.at);
    }
  }

  /** The earliest deadline. */
  next(): number | undefined {
    this.#skipStale();
    return this.#heap[0]?.at;
  }

  /** Takes out one key whose deadline is at or before `now`; undefined when none is due. */
  takeDue(now: number): K | undefined {
    this.#skipStale();
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return undefined;
    this.#live.delete(first.key);
    this.#pop();
    return first.key;
  }

  #skipStale(): void {
    while (this.#heap.length > 0 && this.#live.get(this.#heap[0]!.key) !== this.#heap[0]) this.#pop();
  }

  #push(entry: Entry<K>): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent]!.at <= entry.at) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= last.at) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}
