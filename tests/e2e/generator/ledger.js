// What the streams have to hold, segment by segment of the history, and whether they do. A segment is
// one transaction, or several whose order is not known or whose states between were not looked at.
// Streams are read on from where the last look ended.

import { describeDifference, idOf, printableId } from '../lib/oracle.js'
import { readStream } from '../lib/stream.js'
import { until } from '../lib/wait.js'

/** How far one stream has been read and what it then held. */
class Reader {
  offset = '-1'
  isNew = true
  rows = new Map() // id → value

  constructor(path) {
    this.path = path
    this.waiting = []
  }

  fail(message, event) {
    const shown = event ? `\n${JSON.stringify(event)}` : ''
    throw Object.assign(new Error(`stream ${this.path}: ${message}${shown}`), { isFinal: true })
  }

  async read(server) {
    const { events, offset } = await readStream(server, this.path, this.offset)
    this.offset = offset
    this.waiting.push(...events)
    return events.length
  }

  /** Strictly: no second insert, nothing done to what is not there, no update to the same. */
  apply(event) {
    const id = idOf(event)
    const old = this.rows.get(id)
    if (event.operation === 'insert' && old !== undefined) this.fail(`second insert of ${printableId(id)}`, event)
    if (event.operation !== 'insert' && old === undefined) this.fail(`${event.operation} of ${printableId(id)}, which is not there`, event)
    if (event.operation === 'update' && old === event.value) this.fail(`update of ${printableId(id)} that changes nothing`, event)
    if (event.operation === 'delete') this.rows.delete(id)
    else this.rows.set(id, event.value)
    return { id, old }
  }
}

export class Ledger {
  #readers = new Map()
  #segments = []
  #watched = new Set() // transactions whose every event is known
  events = 0

  constructor(serverUrl, paths = []) {
    this.server = serverUrl
    for (const path of paths) this.#reader(path)
  }

  #reader(path) {
    if (!this.#readers.has(path)) this.#readers.set(path, new Reader(path))
    return this.#readers.get(path)
  }

  /** txids: of the transactions that led to this difference; what: them and the rules, for a failure's message. */
  record(txids, streams, what) {
    for (const path of streams.keys()) this.#reader(path)
    if (txids.length === 1) this.#watched.add(txids[0])
    if (txids.length > 1 || streams.size > 0) this.#segments.push({ txids: new Set(txids), streams, what })
  }

  /** A stream that no difference called for so far may have come and gone unwatched. */
  #verifyPast(reader) {
    reader.isNew = false
    const isPending = (event) => this.#segments.some((segment) => segment.txids.has(event.txid))
    while (reader.waiting.length > 0 && !isPending(reader.waiting[0])) {
      const event = reader.waiting.shift()
      if (this.#watched.has(event.txid)) reader.fail('event that nothing called for', event)
      reader.apply(event)
    }
    for (const [id, value] of reader.rows) reader.fail(`leaked: ${printableId(id)} ${value}`)
  }

  async #readAll() {
    let count = 0
    const readers = [...this.#readers.values()]
    for (let i = 0; i < readers.length; i += 16) {
      const counts = await Promise.all(readers.slice(i, i + 16).map((reader) => reader.read(this.server)))
      count += counts.reduce((sum, each) => sum + each, 0)
    }
    this.events += count
    return count
  }

  /** Everything recorded has arrived: compares it with what the streams hold beyond the last look. */
  async verify() {
    await this.#readAll()
    for (const reader of this.#readers.values()) {
      if (reader.isNew) this.#verifyPast(reader)
      for (const segment of this.#segments) verifySegment(reader, segment)
      if (reader.waiting.length > 0) reader.fail('event that nothing called for', reader.waiting[0])
    }
    this.#segments = []
  }

  /** After changes that the bridge takes up when it notices them: strict on the way, equal in the end. */
  async verifyInTheEnd(expectedState, deadlineMs) {
    await until('every stream to be what the rules in SQL say', async () => {
      const expected = await expectedState()
      for (const path of expected.keys()) this.#reader(path)
      await this.#readAll()
      for (const reader of this.#readers.values()) {
        reader.isNew = false
        for (const event of reader.waiting.splice(0)) reader.apply(event)
      }
      for (const reader of this.#readers.values()) {
        const wrong = describeDifference(expected.get(reader.path) ?? new Map(), reader.rows)
        if (wrong) throw new Error(`stream ${reader.path}:\n${wrong}`)
      }
      return true
    }, { deadlineMs })
  }
}

function verifySegment(reader, segment) {
  const expected = segment.streams.get(reader.path) ?? new Map()
  const before = new Map() // of what was touched
  const finished = new Set()
  let current
  while (reader.waiting.length > 0 && segment.txids.has(reader.waiting[0].txid)) {
    const event = reader.waiting.shift()
    if (event.txid !== current) {
      if (finished.has(event.txid)) reader.fail(`transaction ${event.txid} in two pieces`, event)
      if (current !== undefined) finished.add(current)
      current = event.txid
    }
    const { id, old } = reader.apply(event)
    if (segment.txids.size === 1 && before.has(id)) reader.fail(`two events for ${printableId(id)} in one transaction`, event)
    if (!before.has(id)) before.set(id, old)
  }
  const problem = compare(reader, before, expected)
  if (problem) reader.fail(`${problem}\nnext event: ${JSON.stringify(reader.waiting[0])}\ntransactions ${[...segment.txids].slice(0, 5).join(', ')}:\n${segment.what}`)
}

function compare(reader, before, expected) {
  for (const [id, want] of expected) {
    const now = reader.rows.get(id)
    if (now === want.value) continue
    return `${want.operation} of ${printableId(id)}: ${before.has(id) ? 'with another outcome' : 'missing'}\n  expected ${want.value}\n  got      ${now}`
  }
  for (const [id, old] of before) {
    const now = reader.rows.get(id)
    if (!expected.has(id) && now !== old) return `uncalled-for change of ${printableId(id)}\n  expected ${old}\n  got      ${now}`
  }
  return ''
}
