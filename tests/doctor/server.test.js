// What doctor finds in the server: settings, slots, walsenders, the output plugin, and no way in.

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import test, { after, before } from 'node:test'
import pg from 'pg'
import { Cluster } from '../e2e/lib/cluster.js'
import { until } from '../e2e/lib/wait.js'
import { Workspace } from '../e2e/lib/workspace.js'
import { Patient, restart } from './doctor.js'

let workspace
const LIMITED = { max_slot_wal_keep_size: '8GB' }

before(() => {
  workspace = new Workspace('doctor-server')
})

after(() => workspace.close())

async function patientOn(name, settings) {
  const cluster = await Cluster.start(workspace, { name, settings: { ...LIMITED, ...settings } })
  return Patient.make(workspace, cluster)
}

test('wal_level, walsenders and slots: each takes a restart, as it says', async () => {
  const one = await patientOn('settings', { wal_level: 'replica', max_wal_senders: '0' })
  const restarted = () => restart(one.cluster)
  const wait = { afterwards: restarted }
  await one.provoke(/^wal_level is replica, and logical decoding needs wal_level = logical$/, wait)
  await one.provoke(/^all 0 walsenders of the server are in use$/, wait)
  await restart(one.cluster, 'max_replication_slots = 1')
  const db = await one.cluster.connect(one.name)
  await db.query(`SELECT pg_create_physical_replication_slot('other')`)
  const { faults } = await one.doctor()
  assert.deepEqual(faults.map((finding) => finding.check), ['slots'], 'and nothing that follows from it')
  await db.query(`SELECT pg_drop_replication_slot('other'), pg_create_logical_replication_slot('weir', 'wal2json')`)
  await one.provoke(/^all 1 replication slots of the server are in use$/, { severity: 'warning', mend: () => db.query(`SELECT pg_drop_replication_slot('weir')`) })
  await db.query(`SELECT pg_create_physical_replication_slot('other')`)
  await db.end()
  await one.provoke(/^all 1 replication slots of the server are in use$/, wait)
})

test('wal2json that is not installed', async () => {
  const one = await patientOn('missing', { dynamic_library_path: `'/nowhere'` })
  // Installing it here would be for all clusters of the machine; that it is found now comes to the same.
  const mend = async ({ mend }) => {
    assert.match(mend, /^apt install postgresql-\d+-wal2json # /)
    await restart(one.cluster, `dynamic_library_path = '$libdir'`)
  }
  await one.provoke(/^the output plugin wal2json is not installed on the Postgres server$/, { mend })
})

test('wal2json that Postgres may not load, set in each way; an older minor has no such list', async (t) => {
  const one = await patientOn('list')
  const { rows } = await one.db.query(`SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'`)
  if (rows.length === 0) {
    const { faults } = await one.doctor()
    assert.deepEqual(faults, [])
    t.diagnostic(`this Postgres is of before August 2026 and has no output_plugin_libraries`)
    return
  }
  const message = /^Postgres does not allow wal2json as an output plugin: it is not on output_plugin_libraries/
  const refused = async (where, value) => {
    await one.db.query(`ALTER ${where} SET output_plugin_libraries ${value}`)
    await one.db.query('SELECT pg_reload_conf()')
    const finding = await one.provoke(message)
    assert.ok(finding.mend.startsWith(`ALTER ${where} SET`), finding.mend)
  }
  await refused('SYSTEM', 'TO pgoutput')
  await refused('SYSTEM', `= 'pgoutput, test_decoding, wal2json'`) // one name
  await refused('ROLE weir_bridge', 'TO pgoutput')
  await one.db.query('ALTER ROLE weir_bridge RESET output_plugin_libraries')
  await refused(`DATABASE ${one.name}`, `= 'pgoutput, wal2json'`)
  await refused(`ROLE weir_bridge IN DATABASE ${one.name}`, 'TO pgoutput')
})

test('a transaction in the way of a slot', async () => {
  const one = await patientOn('busy')
  const busy = await one.cluster.connect(one.name)
  await busy.query('BEGIN; CREATE TABLE half_made ()')
  await one.provoke(/^slot "weir_doctor_\d+" waits for a transaction of the process with pid \d+ to end$/, { severity: 'warning' })
  await busy.end().catch(() => {})
  const again = await one.cluster.connect(one.name)
  await again.query(`ALTER SYSTEM SET max_prepared_transactions = 2`)
  await again.end()
  await restart(one.cluster)
  const preparing = await one.cluster.connect(one.name)
  await preparing.query(`BEGIN; CREATE TABLE half_made (); PREPARE TRANSACTION 'it''s half made'`)
  await preparing.end()
  await one.provoke(/^slot "weir_doctor_\d+" waits for the prepared transaction 'it''s half made'$/, { severity: 'warning' })
})

test('no way in', async () => {
  const one = await patientOn('door')
  const first = (faults) => faults.find((finding) => finding.check === 'connection')
  const as = (conninfo) => Object.create(one, { conninfo: { value: conninfo } })
  const base = `host=127.0.0.1 port=${one.cluster.port}`
  await one.db.query(`CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`)
  const refused = {
    'host=127.0.0.1 port=1 user=x dbname=x': [/^cannot connect to Postgres: /, /is Postgres running there/],
    [`${base} user=nobody_knows dbname=${one.name}`]: [/role "nobody_knows" does not exist/, /pg_hba\.conf/],
    [`${base} user=weir_bridge dbname=nowhere`]: [/database "nowhere" does not exist/, /dbname=/],
    [`${base} user=weir_bridge dbname=latin`]: [/^database "latin" is encoded in LATIN1, and weir needs UTF8$/, /^CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0;/],
    'postgresql://a:secret@word@127.0.0.1/x': [/^the connection string is malformed$/, /%40/],
  }
  for (const [conninfo, [message, hint]] of Object.entries(refused)) {
    const { code, faults } = await as(conninfo).doctor()
    assert.equal(code, 2)
    assert.match(first(faults).message, message)
    assert.match(first(faults).mend, hint)
    assert.ok(!JSON.stringify(faults).includes('secret'))
  }
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  workspace.onClose(() => silent.close())
  await until('the silent server', () => silent.address())
  const { faults } = await as(`host=127.0.0.1 port=${silent.address().port} user=x connect_timeout=1`).doctor()
  assert.match(first(faults).message, /^cannot connect to Postgres: no answer in time from 127\.0\.0\.1 port \d+$/)
  await one.db.end()
  await restart(one.cluster, 'superuser_reserved_connections = 2\nmax_connections = 12')
  const all = []
  const fill = await one.cluster.connect(one.name)
  for (;;) {
    const more = new pg.Client({ ...one.cluster.address(one.name), user: 'weir_bridge' })
    more.on('error', () => {})
    try {
      await more.connect()
    } catch {
      break
    }
    all.push(more)
  }
  await one.provoke(/^cannot connect to Postgres: .*(too many clients|remaining connection slots)/, {
    mend: async ({ mend }) => {
      assert.match(mend, /^close connections, or ALTER SYSTEM SET max_connections = 200; and restart Postgres$/)
      await Promise.all(all.map((client) => client.end()))
    },
  })
  await fill.end()
})
