// docs/getting-started.md, followed to the letter: its shell blocks run in order in one shell, on a
// cluster that is not prepared, by an owner without superuser and a bridge role with the page's
// grants.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import test from 'node:test'
import { promisify } from 'node:util'
import { Cluster } from '../e2e/lib/cluster.js'
import { weirProgram } from '../e2e/lib/weir.js'
import { Workspace, freePort } from '../e2e/lib/workspace.js'

const PAGE = readFileSync(new URL('../../docs/getting-started.md', import.meta.url), 'utf8')
const BLOCKS = [...PAGE.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1])
const run = promisify(execFile)

/** The page's commands with what a test has to do otherwise: no apt, no systemd, its own port. */
function script(cluster, port) {
  const [exports, build, ...rest] = BLOCKS
  assert.match(exports, /^export ADMIN=/)
  assert.match(build, /^scripts\/deps/)
  const text = rest.join('\n')
  const restart = 'sudo systemctl restart postgresql'
  assert.ok(text.includes(restart))
  const removal = text.indexOf(`psql "$ADMIN" -c "SELECT pg_drop_replication_slot`)
  assert.ok(removal > 0)
  const look = 'curl -sf http://127.0.0.1:4437/console/ | grep -o "<title>Weir"\n' // the page: open it in a browser
  const isFree = `[ "$(psql "$ADMIN" -Atc "SELECT count(*) FROM pg_replication_slots WHERE active")" = 0 ]`
  const endDaemons = `kill %1 %2\nwait\nuntil ${isFree}; do :; done\n` // the page: stop both daemons
  return [text.slice(0, removal), look, endDaemons, text.slice(removal)]
    .join('')
    .replace(restart, `$AS_POSTGRES pg_ctl -D '${cluster.dir}/data' -l '${cluster.dir}/postgres.log' -w restart >/dev/null`)
    .replace(/^build\/release\/weir doctor .*$/m, '$& || [ $? = 1 ]') // 1: warnings, as that WAL may grow without limit
    .replace('wait $!\n', 'wait $! || true\n') // curl says that its time is up
    .replaceAll('127.0.0.1:4437', `127.0.0.1:${port}`)
}

test('the page works as it stands', async () => {
  const workspace = new Workspace('getting-started')
  try {
    const cluster = await Cluster.start(workspace, { settings: { wal_level: 'replica', output_plugin_libraries: 'pgoutput' } }).catch(() =>
      Cluster.start(workspace, { name: 'pg-old', settings: { wal_level: 'replica' } }))
    const admin = await cluster.connect()
    await admin.query('CREATE ROLE app LOGIN')
    await admin.query('CREATE DATABASE app OWNER app')
    await admin.end()
    const port = await freePort()
    mkdirSync(workspace.path('clone/build/release'), { recursive: true })
    symlinkSync(weirProgram(), workspace.path('clone/build/release/weir'))
    const login = (user) => `host=127.0.0.1 port=${cluster.port} dbname=app user=${user}`
    const { stdout } = await run('bash', ['-euc', `set -m; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT; psql() { command psql -X -v ON_ERROR_STOP=1 "$@"; }\n${script(cluster, port)}`], {
      cwd: workspace.path('clone'),
      env: {
        ...process.env, ADMIN: login('postgres'), DB: login('app'), BRIDGE: login('weir_bridge'), PATH: `${cluster.bin}:${process.env.PATH}`,
        AS_POSTGRES: process.getuid() === 0 ? 'setpriv --reuid=postgres --regid=postgres --init-groups --' : '',
      },
      timeout: 300_000,
    })
    assert.match(stdout, /schema weir +made/)
    assert.match(stdout, /\[\{"type":"todos","key":"1".*"title":"read about rules".*"operation":"insert"/)
    assert.match(stdout, /event: data\ndata:.*"operation":"insert".*"operation":"delete"/s)
    assert.match(stdout, /project todos \| active/)
    assert.match(stdout, /<title>Weir/)
    assert.match(stdout, /wal_level/) // of doctor
    const after = await cluster.connect('app')
    const { rows } = await after.query(`SELECT (SELECT count(*) FROM pg_replication_slots) + (SELECT count(*) FROM pg_publication)
      + (SELECT count(*) FROM pg_namespace WHERE nspname = 'weir') + (SELECT count(*) FROM pg_roles WHERE rolname = 'weir_bridge') AS left_over`)
    await after.end()
    assert.equal(rows[0].left_over, '0')
  } finally {
    await workspace.close()
  }
})
