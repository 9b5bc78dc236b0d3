// A client that follows one stream by SSE from its beginning, comes back where it left off whenever
// the connection ends, and holds every event against what it has: an insert of what is there, or an
// update or delete of what is not, is a failure.

import http from 'node:http'
import { elements } from '../lib/json.js'
import { Fold, parseEvent } from '../lib/stream.js'

export class Follower {
  #offset = '-1'
  #fold = new Fold()
  #isClosed = false
  events = 0
  failure = undefined

  constructor(url, path) {
    this.url = new URL(url)
    this.path = path
    this.#connect()
  }

  get state() {
    if (this.failure) throw this.failure
    return this.#fold.state
  }

  #connect() {
    if (this.#isClosed || this.failure) return
    const { hostname, port } = this.url
    let isOver = false
    const again = () => {
      if (!isOver) setTimeout(() => this.#connect(), 100)
      isOver = true
    }
    this.request = http.get({ hostname, port, path: `/v1/stream/${this.path}?offset=${this.#offset}&live=sse`, agent: false }, (answer) => {
      answer.on('error', () => {})
      answer.on('close', again)
      if (answer.statusCode !== 200) return answer.resume()
      let rest = ''
      answer.setEncoding('utf8')
      answer.on('data', (text) => {
        const blocks = (rest + text).split('\n\n')
        rest = blocks.pop()
        for (const block of blocks) this.#take(block)
      })
    })
    this.request.on('error', again)
  }

  #pending = []

  /** What came is only kept with the offset that follows it, as a cut may fall between them. */
  #take(block) {
    const lines = block.split('\n')
    const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5)).join('\n')
    try {
      if (lines[0] === 'event: data') this.#pending = elements(data).map(parseEvent)
      if (lines[0] !== 'event: control') return
      this.#fold.applyAll(this.#pending)
      this.events += this.#pending.length
      this.#pending = []
      this.#offset = JSON.parse(data).streamNextOffset
    } catch (error) {
      this.failure ??= new Error(`follower of ${this.path}: ${error.message}`)
      this.close()
    }
  }

  close() {
    this.#isClosed = true
    this.request.destroy()
  }
}
