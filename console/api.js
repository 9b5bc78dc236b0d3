// Requests to the server that the console came from, with the admin's token where it asks for one.

import { parse } from './format.js'

const ROOT = new URL('../v1/stream/', location.href)
const KEPT_AS = 'weir-admin-token'

/** A refusal in the server's own words. */
export class Refused extends Error {
  constructor(status, text) {
    super(text.trim() || `the server answered ${status}`)
    this.status = status
  }
}

let ask
let asked
/** What asks for a token; why is the server's text, '' for the first time. */
export const setSignIn = (signIn) => (ask = signIn)
export const hasToken = () => sessionStorage.getItem(KEPT_AS) !== null
export const forgetToken = () => sessionStorage.removeItem(KEPT_AS)

/** Asks once for however many requests were refused. */
function signIn(why) {
  asked ??= ask(why)
    .then((token) => sessionStorage.setItem(KEPT_AS, token))
    .finally(() => (asked = undefined))
  return asked
}

/** The URL of a path below the root. Browsers take the segments %2E and %2E%2E for . and .. and would
 * ask for another stream. */
function urlOf(path) {
  const url = new URL(path, ROOT)
  if (url.href !== ROOT.href + path) throw new Refused(0, 'browsers cannot ask for this path: use curl --path-as-is')
  return url
}

export async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEPT_AS)
    const response = await fetch(urlOf(path), { ...options, cache: 'no-store', credentials: 'omit', headers: token ? { Authorization: `Bearer ${token}` } : {} })
    if (response.status !== 401 && response.status !== 403) return response
    const why = await response.text()
    if (sessionStorage.getItem(KEPT_AS) === token) await signIn(token ? why.trim() : '')
  }
}

async function answer(response) {
  const text = await response.text()
  if (!response.ok) throw new Refused(response.status, text)
  return parse(text)
}

export const overview = async (signal) => answer(await request('__weir/overview', { signal }))
export const streams = async (search, signal) => answer(await request(`__weir/streams?search=${encodeURIComponent(search).replaceAll("'", '%27')}`, { signal }))

const POLL_MS = 300
const PATIENCE_MS = 20_000

/** Which rules let the subject see the row: the bridge asks Postgres with its next report. */
export async function explain(question, signal) {
  const { id } = await answer(await request('__weir/questions', { method: 'POST', body: JSON.stringify(question), signal }))
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
    const response = await request(`__weir/questions/${id}`, { signal })
    if (response.status !== 202) return answer(response)
    await new Promise((done) => setTimeout(done, POLL_MS))
  }
  throw new Refused(0, 'no bridge has answered: is weir bridge running?')
}
