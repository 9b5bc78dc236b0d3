// One user's stream, followed over HTTP with nothing but fetch, and the copy that a client has of it.

const RETRY_MS = 25

/** Rows by type and key: what the events so far add up to. */
export class Copy {
  rows = new Map()

  static id = (event) => JSON.stringify([event.type, event.key])

  apply(event) {
    const id = Copy.id(event)
    const { operation } = event.headers
    if ((operation === 'insert') === this.rows.has(id)) throw new Error(`${operation} of ${event.type} ${event.key} does not fit the copy`)
    if (operation === 'delete') this.rows.delete(id)
    else this.rows.set(id, { type: event.type, key: event.key, value: event.value })
  }
}

export class Stream {
  copy = new Copy()
  events = []
  /** Called after each response that brought events. */
  onEvents = () => {}
  #offset = '-1'
  #stopped = new AbortController()

  constructor(root, path) {
    this.path = path
    this.url = `${root}/${path}`
  }

  /** Follows the stream until stop(): first what is there, then by long-poll what comes. A stream
   * appears with its first event; until then the server answers 404. */
  async follow() {
    while (!this.#stopped.signal.aborted) {
      try {
        const isLive = this.#offset !== '-1'
        const response = await fetch(`${this.url}?offset=${this.#offset}${isLive ? '&live=long-poll' : ''}`, { signal: this.#stopped.signal })
        if (response.ok) await this.#take(response)
        else await pause(RETRY_MS)
      } catch (error) {
        if (this.#stopped.signal.aborted) return
        if (error.name !== 'TypeError') throw error // fetch's own failures are TypeErrors: no server
        await pause(RETRY_MS)
      }
    }
  }

  async #take(response) {
    const text = await response.text()
    const arrived = performance.timeOrigin + performance.now()
    const events = text === '' ? [] : JSON.parse(text)
    for (const event of events) {
      this.copy.apply(event)
      this.events.push({ ...event, arrived })
    }
    this.#offset = response.headers.get('stream-next-offset')
    if (events.length > 0) this.onEvents()
  }

  stop() {
    this.#stopped.abort()
  }
}

/** Everything in a stream as a client that comes new reads it. */
export async function readAll(url) {
  const events = []
  for (let offset = '-1'; ; ) {
    const response = await fetch(`${url}?offset=${offset}`)
    if (!response.ok) throw new Error(`GET ${url}: ${response.status}`)
    const text = await response.text()
    if (text !== '') events.push(...JSON.parse(text))
    offset = response.headers.get('stream-next-offset')
    if (response.headers.get('stream-up-to-date') === 'true') return events
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
