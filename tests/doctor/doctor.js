// A patient for weir doctor: a database, the bridge's role of docs/operations.md, and the ways to run
// what doctor prints.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../e2e/lib/wait.js'
import { runWeir, weirProgram } from '../e2e/lib/weir.js'

const DEADLINE_MS = 60_000
const operations = readFileSync(fileURLToPath(new URL('../../docs/operations.md', import.meta.url)), 'utf8')

/** The SQL that docs/operations.md gives for the role, as it stands there. */
export const ROLE_SQL = /```sql\n(CREATE ROLE weir_bridge[^]*?)```/.exec(operations)[1]

function run(program, args, { input, ...options } = {}) {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: DEADLINE_MS, ...options }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal) : 0, output: stdout + stderr })
    })
    child.stdin.end(input)
  })
}

/** Every finding of doctor's so far that was no ok, and whether what it prints was carried out and it was
 * then gone. messages.test.js looks at all suites' together. */
export const provoked = []

/** What this machine's Postgres cannot say, with the reason. */
export const impossible = {}

export function keepProvoked(suite) {
  const folder = process.env.WEIR_PROVOKED
  if (!folder) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${suite}.json`), JSON.stringify({ provoked, impossible }, null, 1))
}

export class Patient {
  static #count = 0

  /** A database of its own on the cluster, with weir installed and the role's rights. */
  static async make(workspace, cluster, { isInstalled = true, roleSql = ROLE_SQL } = {}) {
    const patient = new Patient()
    patient.cluster = cluster
    patient.name = `patient${++Patient.#count}`
    const admin = await cluster.connect()
    await admin.query(`CREATE DATABASE ${patient.name}`)
    await admin.end()
    patient.db = await cluster.connect(patient.name)
    workspace.onClose(() => patient.db.end())
    if (isInstalled) {
      const { code, output } = await runWeir(['install', '--db', cluster.conninfo(patient.name)])
      assert.equal(code, 0, output)
    }
    await patient.db.query(`DROP ROLE IF EXISTS weir_bridge`).catch(() => {}) // of another database
    await patient.db.query(`DO $$ BEGIN IF to_regrole('weir_bridge') IS NULL THEN CREATE ROLE weir_bridge; END IF; END $$; ALTER ROLE weir_bridge LOGIN REPLICATION NOBYPASSRLS`)
    if (isInstalled) await patient.db.query(roleSql.replace(/^CREATE ROLE.*$/m, ''))
    return patient
  }

  get conninfo() {
    return `host=127.0.0.1 port=${this.cluster.port} user=weir_bridge dbname=${this.name}`
  }

  async doctor(...args) {
    const { code, output } = await run(weirProgram(), ['doctor', '--db', this.conninfo, '--json', ...args], this.runAs ?? {})
    const report = JSON.parse(output)
    const count = (severity) => report.findings.filter((finding) => finding.severity === severity).length
    assert.equal(report.errors, count('error'))
    assert.equal(report.warnings, count('warning'))
    assert.equal(code, report.errors ? 2 : report.warnings ? 1 : 0)
    const faults = report.findings.filter((finding) => finding.severity !== 'ok')
    for (const finding of faults) {
      assert.match(finding.mend ?? '', /\S/, finding.message)
      provoked.push(finding)
    }
    return { code, faults, findings: report.findings }
  }

  /** Runs SQL in psql, as a superuser; or a command in a shell that knows weir. */
  async run(text) {
    const isSql = /^(ALTER|CREATE|DELETE|DROP|GRANT|SELECT|ROLLBACK) /.test(text)
    const environment = { ...this.cluster.environment(this.name), PATH: `${dirname(weirProgram())}:${process.env.PATH}` }
    const { code, output } = isSql
      ? await run(this.cluster.program('psql'), ['-X', '-q', '-v', 'ON_ERROR_STOP=1'], { input: `${text}\n`, env: environment })
      : await run('sh', ['-ec', text], { env: environment })
    assert.equal(code, 0, `${text}\n${output}`)
  }

  /** Itself with another connection string, or run in another way. */
  as({ conninfo = this.conninfo, runAs = this.runAs } = {}) {
    return Object.create(this, { conninfo: { value: conninfo }, runAs: { value: runAs } })
  }

  /** Doctor finds it, what it prints is run literally, and then doctor does not find it. Where that is
   * no command, `mend` does what it says, and returns the `args` or the `patient` with which doctor is to
   * be run then, if they are others; `hint` is what it must say. `afterwards` is what "and restart
   * Postgres" asks for. */
  async provoke(message, { severity = 'error', args = [], hint, mend, afterwards = () => {} } = {}) {
    const find = ({ faults }) => faults.find((finding) => message.test(finding.message))
    const seen = await this.doctor(...args)
    const finding = find(seen)
    assert.ok(finding, `${message}: ${JSON.stringify(seen.faults, null, 1)}`)
    assert.equal(finding.severity, severity, finding.message)
    if (hint) assert.match(finding.mend, hint)
    assert.ok(!mend || hint, 'where the mend is not run as it stands, what it says is looked at')
    let after = {}
    if (mend) after = (await mend(finding)) ?? {}
    else await this.run(finding.mend)
    await afterwards()
    const patient = after.patient ?? this
    // A setting that is loaded again reaches the server's processes when they get to it.
    await until(`an end of "${finding.message}" by ${finding.mend}`, async () => !find(await patient.doctor(...(after.args ?? args))), { deadlineMs: DEADLINE_MS })
    finding.isMended = true
    return finding
  }
}

/** Has the server load its settings again, until who connects then finds that it has: by then its other
 * processes have been told. `name`: of a setting that has another value afterwards. */
export async function reload(cluster, db, name, alter) {
  const shown = async () => {
    const other = await cluster.connect()
    const { rows } = await other.query('SELECT current_setting($1) AS value', [name])
    await other.end()
    return rows[0].value
  }
  const before = await shown()
  await db.query(alter)
  await db.query('SELECT pg_reload_conf()')
  await until(`${name} to be another`, async () => (await shown()) !== before)
}

/** Stops a cluster's server and starts it, with more settings in its file. */
export async function restart(cluster, settings = '') {
  if (settings) await run('sh', ['-c', `cat >>'${cluster.dir}/data/postgresql.conf'`], { input: `${settings}\n` })
  const command = [cluster.program('pg_ctl'), '-D', `${cluster.dir}/data`, '-l', `${cluster.dir}/postgres.log`, '-w', '-t', '60', '-m', 'fast', 'restart']
  const asPostgres = process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups'] : []
  const [program, ...args] = [...asPostgres, ...command]
  const { code, output } = await run(program, args, { cwd: '/', env: { ...process.env, LC_ALL: 'C' }, stdio: 'ignore' })
  assert.equal(code, 0, output)
}
