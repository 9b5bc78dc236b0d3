// Which streams there are.

import * as api from './api.js'
import { h } from './dom.js'
import { bytes, count, readable } from './format.js'

const SETTLE_MS = 200

const byPath = new Intl.Collator('en', { numeric: true }).compare

/** What is searched for as it is in a path: people write a space, and the path has %20. */
const encoded = (text) => text.replace(/[^\w.~%/-]+/g, (part) => encodeURIComponent(part).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`))

export function streamsView(main, { signal, query, replaceQuery }) {
  const input = h('input', { type: 'search', id: 'search', value: query.get('search') ?? '', placeholder: 'a part of the path, as user/ana', autocomplete: 'off', spellcheck: 'false' })
  const status = h('p', { class: 'note', role: 'status' })
  const list = h('tbody')
  const table = h('div', { class: 'scroll card flush', tabindex: 0, role: 'region', 'aria-label': 'Streams' }, h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Stream'), h('th', { scope: 'col', class: 'number' }, 'Size'))), list))
  main.append(h('h1', {}, 'Streams'), h('form', { class: 'search', role: 'search', onsubmit: (event) => event.preventDefault() }, h('label', { for: 'search' }, 'Search'), input), status, table)

  let timer
  let asking = new AbortController()
  const look = async () => {
    asking.abort()
    asking = new AbortController()
    const one = AbortSignal.any([asking.signal, signal])
    replaceQuery({ search: input.value })
    try {
      const { streams, found } = await api.streams(encoded(input.value), one)
      streams.sort((a, b) => byPath(a.path, b.path))
      list.replaceChildren(...streams.map(({ path, bytes: size }) => h('tr', {}, h('th', { scope: 'row' }, h('a', { href: `#/stream/${path}` }, readable(path))), h('td', { class: 'number' }, bytes(size)))))
      table.hidden = found === 0
      status.textContent = found === 0 ? 'No stream has this in its path.' : found > streams.length ? `${count(found)} streams; the first ${streams.length}.` : `${count(found)} ${found === 1 ? 'stream' : 'streams'}.`
    } catch (error) {
      if (!one.aborted) status.textContent = error.message
    }
  }
  input.addEventListener('input', () => {
    clearTimeout(timer)
    timer = setTimeout(look, SETTLE_MS)
  })
  return look()
}
