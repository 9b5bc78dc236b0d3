// URL LIVE COUNT: writes numbers to a stream by the real client, reads them as they come, and prints them.
import { DurableStream, stream } from '@durable-streams/client'

const [url, live, count] = process.argv.slice(2)
const abort = new AbortController()
const handle = await DurableStream.create({ url, contentType: 'application/json' })
const response = await stream({ url, offset: '-1', live: live === 'true' ? true : live, json: true, signal: abort.signal })
const items = []
const done = new Promise((resolve) => {
  response.subscribeJson(async (batch) => {
    items.push(...batch.items)
    if (items.length >= Number(count)) resolve()
  })
})
response.closed.catch(() => {})
for (let n = 0; n < Number(count); n++) await handle.append(JSON.stringify(n))
await done
abort.abort()
console.log(JSON.stringify(items))
process.exit(0)
