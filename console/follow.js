// Follows one stream: pages from its beginning, then what comes, by long-poll. Messages are handed on
// as batches, each a whole answer of the server.

import { Refused, request } from './api.js'
import { parse } from './format.js'

const RETRY_MS = 2000

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

/** Calls onBatch(messages, {isUpToDate, isClosed}) and onTrouble(text), until the signal. */
export async function follow(path, { signal, onBatch, onTrouble }) {
  for (let offset = '-1', isLive = false; !signal.aborted; ) {
    try {
      const response = await request(`${path}?offset=${offset}${isLive ? '&live=long-poll' : ''}`, { signal })
      const text = await response.text()
      if (!response.ok) throw new Refused(response.status, text)
      const type = response.headers.get('content-type') ?? '' // a 204, of a wait in which nothing came, has none
      if (response.status !== 204 && !type.startsWith('application/json')) throw new Refused(-1, `the stream holds ${type || 'bytes'}, which the console does not show`)
      const state = { isUpToDate: response.headers.get('stream-up-to-date') === 'true', isClosed: response.headers.get('stream-closed') === 'true' }
      onTrouble('')
      onBatch(text ? parse(text) : [], state)
      offset = response.headers.get('stream-next-offset')
      isLive = state.isUpToDate
      if (state.isClosed && state.isUpToDate) return
    } catch (error) {
      if (signal.aborted) return
      onTrouble(error.status === 404 ? 'There is no such stream; waiting for its first event.' : error.message)
      if (error.status === -1 || error.status === 0 || error.status === 400 || error.status === 410) return
      await pause(RETRY_MS)
    }
  }
}
