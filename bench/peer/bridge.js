// The usual pattern in Node, as the peer of `weir bridge`: wal2json through pg-logical-replication,
// one append per row change to its owner's stream with the official client, no rules, no replica.
// A transaction is acknowledged when its appends have settled.
// usage: node bridge.js STREAMS_URL SLOT; PG* from the environment. Prints "appended N" as it goes.

import { DurableStream, LogicalReplicationService, Wal2JsonPlugin } from '../packages.js'

const REPORT_EVERY = 100
const OPERATIONS = { I: 'insert', U: 'update', D: 'delete' }

const [streamsUrl, slot] = process.argv.slice(2)
const { PGHOST, PGPORT, PGUSER, PGDATABASE } = process.env
const service = new LogicalReplicationService(
  { host: PGHOST, port: Number(PGPORT), user: PGUSER, database: PGDATABASE },
  { acknowledge: { auto: false, timeoutSeconds: 10 } },
)
const plugin = new Wal2JsonPlugin({ formatVersion: '2', includeLsn: true, includePk: true, addTables: ['public.items'] })

const streams = new Map()
const underWay = new Set()
let appended = 0
let failed = 0

function streamOf(owner) {
  if (!streams.has(owner)) {
    streams.set(owner, DurableStream.create({ url: `${streamsUrl}/user/${owner}/data`, contentType: 'application/json' }))
  }
  return streams.get(owner)
}

async function append(change) {
  const row = Object.fromEntries((change.columns ?? change.identity).map((column) => [column.name, column.value]))
  const event = { type: change.table, key: String(row.id), value: row, headers: { operation: OPERATIONS[change.action] } }
  try {
    const stream = await streamOf(row.owner_id)
    await stream.append(JSON.stringify(event))
  } catch (error) {
    failed++
    console.error(String(error))
  }
  if (++appended % REPORT_EVERY === 0) report()
}

function report() {
  process.stdout.write(`appended ${appended} failed ${failed}\n`)
}

service.on('data', async (lsn, message) => {
  if (message.action === 'C') {
    await Promise.all([...underWay])
    report()
    service.acknowledge(lsn)
  } else if (OPERATIONS[message.action]) {
    const appending = append(message).finally(() => underWay.delete(appending))
    underWay.add(appending)
  }
})
service.on('error', (error) => console.error(String(error)))
service.on('start', () => process.stdout.write('ready\n'))
process.on('SIGTERM', () => process.exit(0))
service.subscribe(plugin, slot).catch((error) => {
  console.error(String(error))
  process.exit(1)
})
