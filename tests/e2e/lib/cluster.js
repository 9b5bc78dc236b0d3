// A private Postgres cluster: its own folder, port and settings, on loopback only.

import { execFileSync, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { Child, postgresIdentity } from './process.js'
import { until } from './wait.js'
import { freePort } from './workspace.js'

/** The folder of Postgres's programs: that of pg_config, else the newest that Debian installed. */
export function postgresBinDir() {
  const asked = spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' })
  if (asked.status === 0 && existsSync(join(asked.stdout.trim(), 'initdb'))) return asked.stdout.trim()
  const root = '/usr/lib/postgresql'
  const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a))
  const found = versions.map((v) => join(root, v, 'bin')).find((dir) => existsSync(join(dir, 'initdb')))
  if (!found) throw new Error(`no initdb below ${root}`)
  return found
}

export class Cluster {
  /** settings: lines of postgresql.conf by name; encoding: of template databases. */
  static async start(workspace, { name = 'pg', settings = {}, encoding = 'UTF8', allowWal2json = true } = {}) {
    const cluster = new Cluster()
    cluster.dir = workspace.path(name)
    cluster.port = await freePort()
    cluster.bin = postgresBinDir()
    cluster.identity = postgresIdentity()
    cluster.logFile = workspace.path(`${name}.log`)
    mkdirSync(cluster.dir, { mode: 0o700 })
    if (cluster.identity.uid !== undefined) chownSync(cluster.dir, cluster.identity.uid, cluster.identity.gid)
    cluster.#initdb(encoding)
    cluster.#configure(settings, allowWal2json)
    await cluster.#startServer()
    workspace.onClose(() => cluster.stop())
    return cluster
  }

  #run(program, args) {
    return execFileSync(join(this.bin, program), args, { ...this.identity, cwd: '/', encoding: 'utf8', stdio: 'pipe' })
  }

  #initdb(encoding) {
    this.#run('initdb', ['-D', this.dir, '-U', 'postgres', '-A', 'trust', '-E', encoding, '--locale=C', '--no-sync', '--no-instructions'])
  }

  #configure(settings, allowWal2json) {
    const all = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      wal_level: 'logical',
      max_wal_senders: 8,
      max_replication_slots: 8,
      fsync: 'off', // the clusters are thrown away; it is Weir's durability that is tested
      autovacuum_naptime: '1h',
      ...settings,
    }
    // Older minors refuse to start with a setting that they do not know.
    if (allowWal2json && this.#hasSetting('output_plugin_libraries')) all.output_plugin_libraries = 'pgoutput, test_decoding, wal2json'
    const lines = Object.entries(all).map(([key, value]) => `${key} = '${value}'\n`)
    const path = join(this.dir, 'postgresql.conf')
    writeFileSync(path, readFileSync(path, 'utf8') + lines.join(''))
  }

  #hasSetting(name) {
    const asked = spawnSync(join(this.bin, 'postgres'), ['-D', this.dir, '-C', name], { ...this.identity, cwd: '/' })
    return asked.status === 0
  }

  async #startServer() {
    this.server = new Child(join(this.bin, 'postgres'), ['-D', this.dir, '-p', String(this.port)], { ...this.identity, cwd: '/', logFile: this.logFile })
    await until('Postgres to accept connections', async () => {
      const client = await this.connect('postgres')
      await client.end()
      return true
    })
  }

  conninfo(database = 'postgres') {
    return `host=127.0.0.1 port=${this.port} user=postgres dbname=${database}`
  }

  /** A connection of the pg package; errors of a server that stops are not news. */
  async connect(database = 'postgres') {
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user: 'postgres', database })
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

  /** SIGINT is Postgres's fast shutdown: it does not wait for sessions. */
  async stop() {
    if (!this.server.isRunning()) return
    await this.server.signal('SIGINT')
  }
}
