// Commit to client: rows are committed one by one at a fixed rate, readers follow their streams by
// SSE, and each row's time runs from just before its INSERT is sent to Postgres until its event has
// been parsed. The commit itself is in it; both sides pay for it alike.

import http from 'node:http'
import { until } from '../tests/e2e/lib/wait.js'
import { Pool } from './packages.js'
import { writeOneRow } from './workload.js'

const WRITERS = 8 // connections, so that no row waits for the commit of the one before

/** Follows one stream by SSE; onData gets each data event's text. Returns how to stop. */
function follow(url, path, onData) {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const request = http.get({ hostname, port, path: `/v1/stream/${path}?offset=-1&live=sse`, agent: false }, (response) => {
      if (response.statusCode !== 200) return reject(new Error(`SSE of ${path}: ${response.statusCode}`))
      let buffer = ''
      response.setEncoding('utf8')
      response.on('error', () => {})
      response.on('data', (chunk) => {
        buffer += chunk
        for (let end = buffer.indexOf('\n\n'); end >= 0; end = buffer.indexOf('\n\n')) {
          const event = buffer.slice(0, end)
          buffer = buffer.slice(end + 2)
          if (event.startsWith('event: data')) onData(event)
        }
      })
      resolve(() => request.destroy())
    })
    request.on('error', reject)
  })
}

/** Sorted latencies in ms of `settings.seconds` at `settings.rate` rows/s to `settings.readers`. */
export async function measureLatencyOf(url, stack, { readers, rate, seconds }) {
  const sent = new Map()
  const latencies = []
  const onData = (text) => {
    const now = performance.now()
    for (const [, key] of text.matchAll(/"key": ?"(\d+)"/g)) {
      const at = sent.get(key)
      if (at === undefined) continue
      sent.delete(key)
      latencies.push(now - at)
    }
  }
  const pool = new Pool({ ...stack.cluster.address('app'), max: WRITERS })
  const row = writeOneRow(pool)
  const stops = []
  try {
    for (let owner = 1; owner <= readers; owner++) {
      await row(-owner, owner) // the stream appears with its first event
      stops.push(await until(`stream of user ${owner}`, () => follow(url, `user/${owner}/data`, onData)))
    }
    await paced(rate, rate * seconds, async (n) => {
      sent.set(String(n), performance.now())
      await row(n, (n % readers) + 1)
    })
    await until('the last events', () => sent.size === 0)
  } finally {
    for (const stop of stops) stop()
    await pool.end()
  }
  return latencies.sort((a, b) => a - b)
}

/** Calls `work` for 1 … count at a fixed rate, whether or not the earlier ones have finished. */
function paced(rate, count, work) {
  const began = performance.now()
  const running = []
  return new Promise((resolve, reject) => {
    let next = 1
    const timer = setInterval(() => {
      const due = Math.min(count, Math.floor(((performance.now() - began) * rate) / 1000))
      for (; next <= due; next++) running.push(work(next).catch(reject))
      if (next <= count) return
      clearInterval(timer)
      Promise.all(running).then(resolve, reject)
    }, 1)
  })
}
