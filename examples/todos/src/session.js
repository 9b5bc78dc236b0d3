// Who this is: a short token, asked for again before it ends. Everything goes over a line that can be
// cut, to see what happens offline.

const EARLY_MS = 10_000

/** fetch, until it is cut; then what is under way fails, as it would without a network. */
export class Line {
  #cut = null
  #listeners = new Set()

  get isCut() {
    return this.#cut !== null
  }

  setCut(isCut) {
    if (isCut === this.isCut) return
    this.#cut = isCut ? new TypeError('offline') : null
    for (const listener of [...this.#listeners]) listener()
  }

  onChange(listener) {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  fetch = async (url, options = {}) => {
    if (this.#cut) throw this.#cut
    const cutting = new AbortController()
    const stop = this.onChange(() => this.#cut && cutting.abort(this.#cut))
    try {
      const response = await fetch(url, { ...options, signal: options.signal ? AbortSignal.any([options.signal, cutting.signal]) : cutting.signal })
      const body = await response.arrayBuffer()
      return new Response(body.byteLength ? body : null, response)
    } finally {
      stop()
    }
  }
}

export class Session {
  #token = null
  #until = 0
  #asking = null

  constructor(user, line) {
    Object.assign(this, { user, line })
  }

  /** A token that is good for a while. In your application: from your own login. */
  async token() {
    if (Date.now() < this.#until) return this.#token
    this.#asking ??= this.#ask().finally(() => (this.#asking = null))
    return this.#asking
  }

  async #ask() {
    const response = await this.line.fetch('api/token', { method: 'POST', body: JSON.stringify({ user: this.user }) })
    if (!response.ok) throw new Error((await response.json()).error)
    const { token, lifetime } = await response.json()
    const lifetimeMs = lifetime * 1000
    this.#until = Date.now() + Math.max(lifetimeMs / 2, lifetimeMs - EARLY_MS)
    this.#token = token
    return token
  }

  /** fetch with the token. Here and not as a header that the stream's client is given: a request that
   * it repeats while there is no network keeps its headers, and the token in them ends meanwhile. */
  fetch = async (url, options = {}) => {
    const send = async () => this.line.fetch(url, { ...options, headers: { ...options.headers, Authorization: `Bearer ${await this.token()}` } })
    const response = await send()
    if (response.status !== 401) return response
    this.#until = 0
    return send()
  }
}
