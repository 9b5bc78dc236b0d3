// The console's frame: which view is shown, by what stands behind the # of its address; the sign of
// health in the bar; and the question for the admin's token.

import { forgetToken, hasToken, setSignIn } from './api.js'
import { seconds } from './format.js'
import { explainView } from './explain.js'
import { overviewView } from './overview.js'
import { streamView } from './stream.js'
import { streamsView } from './streams.js'

const main = document.getElementById('content')
const health = document.getElementById('health')
const forget = document.getElementById('forget')
const STREAM = '/stream/'
const LATE_S = 30

// ---- Health ----

function judge(overview) {
  if (!overview) return ['bad', 'no answer']
  if (overview.server.disk_full) return ['bad', 'disk full']
  if (overview.bridges.length === 0) return ['fair', 'no bridge']
  const late = overview.bridges.find(({ report, age_ms: age }) => report.phase !== 'following' || age > 10_000 || report.lag_seconds > LATE_S)
  if (late) return ['bad', late.age_ms > 10_000 ? 'bridge silent' : String(late.report.phase === 'following' ? 'behind' : late.report.phase)]
  const lags = overview.bridges.map(({ report }) => report.lag_seconds).filter((lag) => lag !== undefined)
  return ['good', lags.length ? `${seconds(Math.max(...lags))} behind` : 'following']
}

function setHealth(overview) {
  const [kind, words] = judge(overview)
  health.className = `health ${kind}`
  if (health.textContent !== words) health.textContent = words
  forget.hidden = !hasToken()
}

// ---- The token ----

setSignIn((why) => {
  const dialog = document.getElementById('sign-in')
  const input = document.getElementById('token')
  document.getElementById('sign-in-why').textContent = why
  input.value = ''
  dialog.showModal()
  return new Promise((done) => {
    dialog.oncancel = (event) => event.preventDefault()
    dialog.querySelector('form').onsubmit = () => {
      const token = input.value.trim()
      input.value = ''
      done(token)
    }
  })
})

forget.addEventListener('click', () => {
  forgetToken()
  location.reload()
})

// ---- Views ----

function route(hash) {
  const [path, query = ''] = hash.split(/\?(.*)/s)
  if (path.startsWith(STREAM)) return { view: streamView, tab: '/streams', title: path.slice(STREAM.length), path: path.slice(STREAM.length) }
  const views = { '/streams': { view: streamsView, title: 'Streams' }, '/explain': { view: explainView, title: 'Explain' } }
  return { view: overviewView, title: 'Overview', tab: path, query: new URLSearchParams(query), ...views[path] }
}

let leaving = new AbortController()

function show(isFirst) {
  leaving.abort()
  leaving = new AbortController()
  const { view, tab, title, path, query } = route(location.hash.slice(1) || '/')
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${tab}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  document.title = `${title} – Weir`
  main.replaceChildren()
  /** Keeps what a form holds in the address, without a step in the browser's history. */
  const replaceQuery = (values) => history.replaceState(null, '', `#${tab}?${new URLSearchParams(values)}`)
  view(main, { signal: leaving.signal, path, query, setHealth, replaceQuery })?.catch?.((error) => console.error(error))
  if (!isFirst) main.focus({ preventScroll: false })
}

document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault()
  main.focus()
})
window.addEventListener('hashchange', () => show(false))
show(true)
