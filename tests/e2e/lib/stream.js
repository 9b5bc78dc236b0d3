// A stream of State Protocol events, read as bytes and folded strictly.

import { canonical, elements, members } from './json.js'
import { request, segment } from './raw_http.js'
import { final } from './wait.js'

export const userStream = (subject) => `user/${segment(subject)}/data`

/** Messages of a stream from `offset` on: {exists, events, offset}. Several requests are made when
 * the server pages. */
export async function readStream(server, path, offset = '-1') {
  const events = []
  for (;;) {
    const answer = await request(server, `/v1/stream/${path}?offset=${offset}`)
    if (answer.status === 404 && offset === '-1') return { exists: false, events, offset }
    if (answer.status !== 200) throw final(`GET ${path}: ${answer.status} ${answer.body}`)
    if (answer.body.length > 0) for (const text of elements(answer.body.toString())) events.push(parseEvent(text))
    const next = answer.headers['stream-next-offset']
    if (!next) throw final(`GET ${path}: no Stream-Next-Offset`)
    if (answer.headers['stream-up-to-date'] === 'true') return { exists: true, events, offset: next }
    if (next === offset) throw final(`GET ${path}: not up to date, and yet the offset stays at ${offset}`)
    offset = next
  }
}

/** Waits in one long-poll for what follows offset; [] when none came in the server's time. */
export async function longPoll(server, path, offset) {
  const answer = await request(server, `/v1/stream/${path}?offset=${offset}&live=long-poll`)
  if (answer.status === 204 || answer.status === 404) return { events: [], offset }
  if (answer.status !== 200) throw final(`long-poll ${path}: ${answer.status} ${answer.body}`)
  const events = answer.body.length > 0 ? elements(answer.body.toString()).map(parseEvent) : []
  return { events, offset: answer.headers['stream-next-offset'] }
}

const OPERATIONS = new Set(['insert', 'update', 'delete'])
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** {type, key, value: canonical text or undefined, operation, txid, timestamp}; refuses what the
 * State Protocol or the clients refuse. */
export function parseEvent(text) {
  const parts = members(text)
  const fail = (what) => {
    throw final(`event ${what}: ${text.slice(0, 300)}`)
  }
  if (!parts.has('type') || !parts.has('key') || !parts.has('headers')) fail('without type, key or headers')
  const headers = JSON.parse(parts.get('headers'))
  if (!OPERATIONS.has(headers.operation)) fail('with an unknown operation')
  if (headers.txid !== undefined && typeof headers.txid !== 'string') fail('with a txid that is no string')
  if (headers.timestamp !== undefined && !RFC3339.test(headers.timestamp)) fail('with a bad timestamp')
  const event = { ...headers, type: JSON.parse(parts.get('type')), key: JSON.parse(parts.get('key')) }
  if (typeof event.type !== 'string' || typeof event.key !== 'string') fail('whose type or key is no string')
  if (parts.has('value')) event.value = canonical(parts.get('value'))
  if (headers.operation !== 'delete' && !event.value?.startsWith('{')) fail('without an object as value')
  return event
}

/** What a client holds after some events. State: Map of type to Map of key to canonical value. */
export class Fold {
  state = new Map()

  apply(event) {
    if (!this.state.has(event.type)) this.state.set(event.type, new Map())
    const rows = this.state.get(event.type)
    const isThere = rows.has(event.key)
    if (event.operation === 'insert' && isThere) throw final(`insert of ${event.type} ${event.key}, which is already there`)
    if (event.operation !== 'insert' && !isThere) throw final(`${event.operation} of ${event.type} ${event.key}, which is not there`)
    if (event.operation === 'delete') rows.delete(event.key)
    else rows.set(event.key, event.value)
  }

  applyAll(events) {
    for (const event of events) this.apply(event)
    return this
  }
}
