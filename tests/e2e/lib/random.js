// A small seeded generator, so that every run can be repeated: WEIR_SEED=… node --test …

export function seedFromEnvironment() {
  const given = process.env.WEIR_SEED
  return given === undefined ? (Math.random() * 0x7fffffff) | 0 : Number(given)
}

/** xorshift32: plenty for choosing what to do next. */
export class Random {
  #state

  constructor(seed) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0 || 1
    for (let i = 0; i < 8; i++) this.#next()
  }

  #next() {
    let x = this.#state
    x ^= x << 13
    x >>>= 0
    x ^= x >>> 17
    x ^= x << 5
    x >>>= 0
    this.#state = x
    return x
  }

  /** A whole number in 0 … limit-1. */
  below(limit) {
    return this.#next() % limit
  }

  between(low, high) {
    return low + this.below(high - low + 1)
  }

  chance(probability) {
    return this.#next() / 0x100000000 < probability
  }

  pick(list) {
    return list[this.below(list.length)]
  }

  /** One of [[weight, value], …]. */
  weighted(choices) {
    const total = choices.reduce((sum, [weight]) => sum + weight, 0)
    let at = this.below(total)
    for (const [weight, value] of choices) {
      if (at < weight) return value
      at -= weight
    }
    throw new Error('weights do not add up')
  }

  /** Another of its own: however much is drawn from it, this one goes on the same. */
  fork() {
    return new Random(this.below(1 << 30))
  }

  /** Characters that do not compress, so that Postgres moves them out of line. */
  noise(length) {
    let out = ''
    while (out.length < length) out += this.#next().toString(36)
    return out.slice(0, length)
  }
}
