// One stream: its folded state as a table for each type, and its latest events as they arrive.

import { arrange, h, perFrame } from './dom.js'
import { cell, clip, count, json, readable, timeOfDay } from './format.js'
import { follow } from './follow.js'

const EVENTS_SHOWN = 100
const ROWS_SHOWN = 200
const ROWS_KEPT = 20_000
const CELL_CHARACTERS = 160
const BRIEF_CHARACTERS = 24
const VALUE_CHARACTERS = 20_000

// ---- State ----

/** Rows by type and key: what the State events so far add up to. */
class State {
  types = new Map()
  count = 0
  isPartial = false

  /** False when the message is none of the State Protocol's changes. */
  apply({ type, key, value, headers }) {
    if (headers?.control === 'reset') this.types.clear()
    if (typeof type !== 'string' || typeof key !== 'string' || !headers?.operation) return false
    if (!this.types.has(type)) this.types.set(type, new Map())
    const rows = this.types.get(type)
    if (headers.operation === 'delete') {
      this.count -= rows.delete(key) ? 1 : 0
    } else if (rows.has(key) || this.count < ROWS_KEPT) {
      this.count += rows.has(key) ? 0 : 1
      rows.set(key, { key, value, at: performance.now() })
    } else {
      this.isPartial = true
    }
    return true
  }
}

// ---- The table of one type ----

/** null is told from the text 'null'; long texts are cut, and whole in the event. */
function valueCell(value) {
  const text = cell(value)
  const kind = value === null ? 'null' : text.length > BRIEF_CHARACTERS ? 'long' : 'brief'
  return h('td', { class: kind }, clip(text, CELL_CHARACTERS))
}

class TypeTable {
  #lines = new Map()
  #columns = []

  constructor(type, whyHref) {
    Object.assign(this, { type, whyHref })
    this.title = h('h3')
    this.head = h('tr')
    this.body = h('tbody')
    this.more = h('p', { class: 'note' })
    this.element = h('section', { class: 'card flush' }, this.title, h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Rows of ${type}` }, h('table', {}, h('thead', {}, this.head), this.body)), this.more)
  }

  show(rows, filter) {
    const all = [...rows.values()].filter((row) => !filter || `${row.key} ${json(row.value)}`.toLowerCase().includes(filter))
    const shown = all.slice(0, ROWS_SHOWN)
    this.title.replaceChildren(this.type, h('span', { class: 'count' }, count(rows.size)))
    this.#columnsOf(shown)
    for (const key of this.#lines.keys()) if (!rows.has(key)) this.#lines.delete(key)
    arrange(this.body, shown.map((row) => this.#line(row)))
    this.more.textContent = all.length > shown.length ? `… and ${count(all.length - shown.length)} more: narrow them down with the filter.` : rows.size === 0 ? 'No row now.' : all.length === 0 ? 'No row has this text.' : ''
  }

  #columnsOf(rows) {
    const names = new Set(this.#columns)
    for (const { value } of rows) if (value && typeof value === 'object') for (const name of Object.keys(value)) names.add(name)
    if (names.size === this.#columns.length && this.head.childElementCount) return
    this.#columns = [...names]
    this.#lines.clear()
    this.head.replaceChildren(h('th', { scope: 'col' }, 'key'), ...this.#columns.map((name) => h('th', { scope: 'col' }, name)), this.whyHref ? h('th', { scope: 'col', class: 'why' }, h('span', { class: 'hidden' }, 'Rules')) : '')
  }

  /** The row's element; made anew when the row has changed, with a mark that fades. */
  #line(row) {
    const known = this.#lines.get(row.key)
    if (known?.at === row.at) return known.element
    const cells = this.#columns.map((name) => valueCell(row.value && typeof row.value === 'object' ? row.value[name] : undefined))
    const why = this.whyHref ? h('td', { class: 'why brief' }, h('a', { href: this.whyHref(this.type, row.key), 'aria-label': `why is ${this.type} ${row.key} seen?` }, 'why?')) : ''
    const element = h('tr', { class: performance.now() - row.at < 1000 ? 'fresh' : null }, h('th', { scope: 'row', class: row.key.length > BRIEF_CHARACTERS ? null : 'brief' }, row.key), ...cells, why)
    this.#lines.set(row.key, { at: row.at, element })
    return element
  }
}

// ---- Events ----

const KINDS = { insert: 'good', update: 'fair', upsert: 'fair', delete: 'bad' }

function eventLine(message) {
  const { type, key, headers, value } = message ?? {}
  const operation = typeof headers?.operation === 'string' ? headers.operation : 'message'
  const at = Date.parse(headers?.timestamp)
  return h(
    'li',
    {},
    h(
      'details',
      {},
      h('summary', {}, h('span', { class: `badge ${KINDS[operation] ?? 'none'}` }, operation), h('span', { class: 'what' }, h('b', {}, typeof type === 'string' ? type : ''), ' ', clip(typeof key === 'string' ? key : json(message), 80)), h('time', {}, Number.isFinite(at) ? timeOfDay(at) : ''), h('span', { class: 'peek' }, value === undefined ? '' : clip(json(value), 200))),
      h('pre', { tabindex: 0 }, clip(json(message, 2), VALUE_CHARACTERS)),
    ),
  )
}

// ---- The view ----

/** Of user/{subject}/data, the usual pattern: the subject. */
function subjectOf(path) {
  const [, subject] = /^user\/([^/]+)\/data$/.exec(path) ?? []
  try {
    return subject && decodeURIComponent(subject)
  } catch {
    return undefined
  }
}

export function streamView(main, { signal, path }) {
  const subject = subjectOf(path)
  const whyHref = subject === undefined ? null : (type, key) => `#/explain?${new URLSearchParams({ subject, relation: type, key })}`
  const state = new State()
  const tables = new Map()
  const latest = []
  let total = 0
  let isPaused = false

  const filter = h('input', { type: 'search', id: 'filter', placeholder: 'text in a row', autocomplete: 'off', spellcheck: 'false' })
  const status = h('p', { class: 'note', role: 'status' })
  const rows = h('div', { class: 'cards' })
  const events = h('ol', { class: 'events', reversed: true, tabindex: 0, 'aria-label': 'Latest events, newest first' })
  const pauseButton = h('button', { type: 'button', class: 'plain', 'aria-pressed': 'false' }, 'Pause')
  const word = h('span', { class: 'badge fair' }, 'reading')
  main.append(
    h('p', { class: 'crumb' }, h('a', { href: '#/streams' }, 'Streams')),
    h('div', { class: 'title' }, h('h1', { class: 'path' }, readable(path)), word, pauseButton),
    status,
    h('div', { class: 'split' }, h('section', { 'aria-labelledby': 'rows-title' }, h('div', { class: 'card-head' }, h('h2', { id: 'rows-title' }, 'Rows now'), h('div', { class: 'search small' }, h('label', { for: 'filter', class: 'hidden' }, 'Filter rows'), filter)), rows), h('section', { 'aria-labelledby': 'events-title' }, h('div', { class: 'card-head' }, h('h2', { id: 'events-title' }, 'Events'), h('span', { class: 'note' }, `the latest ${EVENTS_SHOWN}`)), events)),
  )

  const show = perFrame(() => {
    if (isPaused) return
    for (const [type, list] of state.types) {
      if (!tables.has(type)) tables.set(type, new TypeTable(type, whyHref))
      tables.get(type).show(list, filter.value.trim().toLowerCase())
    }
    arrange(rows, state.types.size ? [...tables.values()].map(({ element }) => element) : [h('p', { class: 'card empty' }, 'No rows yet.')])
    arrange(events, latest.map((entry) => (entry.element ??= eventLine(entry.message))))
    events.start = total
    trouble('')
  })

  function trouble(text) {
    status.classList.toggle('notice', text !== '')
    status.textContent = text || `${count(total)} events, ${count(state.count)} rows${state.isPartial ? `; more than ${count(ROWS_KEPT)} rows, the rest is left out` : ''}.`
  }

  pauseButton.addEventListener('click', () => {
    isPaused = !isPaused
    pauseButton.setAttribute('aria-pressed', String(isPaused))
    pauseButton.textContent = isPaused ? 'Go on' : 'Pause'
    show()
  })
  filter.addEventListener('input', show)

  return follow(path, {
    signal,
    onTrouble: (text) => {
      if (!text) return
      word.textContent = 'waiting'
      word.className = 'badge bad'
      trouble(text)
    },
    onBatch: (messages, { isUpToDate, isClosed }) => {
      for (const message of Array.isArray(messages) ? messages : []) {
        state.apply(message ?? {})
        latest.unshift({ message })
        total++
      }
      latest.length = Math.min(latest.length, EVENTS_SHOWN)
      word.textContent = isClosed ? 'closed' : isUpToDate ? 'live' : 'reading'
      word.className = `badge ${isClosed ? 'none' : isUpToDate ? 'good' : 'fair'}`
      show()
    },
  })
}
