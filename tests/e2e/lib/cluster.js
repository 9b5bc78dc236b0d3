// A private Postgres cluster for one suite (tests/support/pg_cluster.sh), on loopback.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from './workspace.js'

const SCRIPT = fileURLToPath(new URL('../../support/pg_cluster.sh', import.meta.url))
const run = promisify(execFile)

/** The folder of Postgres's programs: PG_BIN, else the newest that Debian installed. */
function binDir() {
  if (process.env.PG_BIN) return process.env.PG_BIN
  const root = '/usr/lib/postgresql'
  const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a))
  const found = versions.map((version) => join(root, version, 'bin')).find((dir) => existsSync(join(dir, 'initdb')))
  if (!found) throw new Error(`no initdb below ${root}`)
  return found
}

export class Cluster {
  /** settings: of postgresql.conf, by name. bin: the folder of another Postgres's programs. */
  static async start(workspace, { name = 'pg', settings = {}, bin = binDir() } = {}) {
    const cluster = new Cluster()
    cluster.dir = workspace.path(name)
    cluster.bin = bin
    const pairs = Object.entries({ max_wal_size: '4GB', ...settings }).map(([key, value]) => `${key}=${value}`)
    workspace.onClose(() => cluster.stop())
    await cluster.#launch(pairs)
    return cluster
  }

  /** A base backup, not started: a standby that follows this cluster, or a backup for later. */
  async copy(workspace, { name, port, isStandby = false }) {
    const copy = new Cluster()
    copy.dir = workspace.path(name)
    copy.port = port ?? (await freePort())
    copy.bin = this.bin
    workspace.onClose(() => copy.stop())
    await run(SCRIPT, ['copy', copy.dir, String(copy.port), String(this.port), ...(isStandby ? ['standby'] : [])])
    return copy
  }

  async promote() {
    await run(SCRIPT, ['promote', this.dir])
  }

  /** A port that was free a moment ago may be taken by now: another one then. */
  async #launch(settings, attempts = 3) {
    this.port = await freePort()
    try {
      await run(SCRIPT, ['start', this.dir, String(this.port), ...settings], { env: { ...process.env, PG_BIN: this.bin } })
    } catch (error) {
      if (attempts === 1) throw error
      await this.#launch(settings, attempts - 1)
    }
  }

  conninfo(database = 'postgres') {
    return `host=127.0.0.1 port=${this.port} user=postgres dbname=${database}`
  }

  address(database) {
    return { host: '127.0.0.1', port: this.port, user: 'postgres', database }
  }

  /** A connection of the pg package; that a stopping server ends it is not news. */
  async connect(database = 'postgres') {
    const client = new pg.Client(this.address(database))
    client.on('error', () => {})
    await client.connect()
    return client
  }

  environment(database) {
    return { ...process.env, PGHOST: '127.0.0.1', PGPORT: String(this.port), PGUSER: 'postgres', PGDATABASE: database }
  }

  program(name) {
    return join(this.bin, name)
  }

  /** Ends it as a crash does, without a checkpoint; restart() recovers, and starts a copy. */
  async crash() {
    await run(SCRIPT, ['crash', this.dir])
  }

  /** Ends it as an operator does: connections are closed, walsenders wait for what they sent to be confirmed. */
  async shutdown() {
    await run(SCRIPT, ['shutdown', this.dir])
  }

  async restart() {
    await run(SCRIPT, ['restart', this.dir])
  }

  async stop() {
    await run(SCRIPT, ['stop', this.dir], { env: { ...process.env, PG_BIN: this.bin } })
  }
}
