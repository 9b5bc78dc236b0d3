// A whole system that things happen to: Postgres, both daemons behind proxies and on disks that forget,
// random transactions, and the judge of what the streams hold in the end.

import { readFileSync, readdirSync } from 'node:fs'
import { RULES, SCHEMA, SUBJECTS, TABLES } from '../../e2e/lib/application.js'
import { Oracle } from '../../e2e/lib/oracle.js'
import { Random } from '../../e2e/lib/random.js'
import { Stack } from '../../e2e/lib/stack.js'
import { userStream } from '../../e2e/lib/stream.js'
import { Traffic } from '../../e2e/lib/traffic.js'
import { History, verifyFolds } from '../../e2e/lib/verify.js'
import { until } from '../../e2e/lib/wait.js'
import { Bridge } from '../../e2e/lib/weir.js'
import { Disk } from './disk.js'
import { Proxy } from './proxy.js'

const REPORT = /(?:(?:ERROR|WARNING): \w+Sanitizer|runtime error:)[\s\S]{0,4000}/
const ALL_STREAMS = SUBJECTS.map(userStream)
const SERVER_ARGS = ['--checkpoint-interval', '300ms']
const BRIDGE_ARGS = [...(process.env.WEIR_DEBUG ? ['--log-level', 'debug'] : []), '--checkpoint-interval', '300ms', '--catalog-interval', '500ms']

export class World {
  static async create(name, seed, { bridgeArgs = [], cluster = {}, traffic = {} } = {}) {
    if (!process.env.WEIR_FAULT_DISK) throw new Error('WEIR_FAULT_DISK does not name the library of tests/faults/disk')
    const world = new World()
    world.seed = seed
    world.random = new Random(seed)
    world.stack = await Stack.create(name, { schema: SCHEMA, tables: TABLES, rules: RULES, serverArgs: SERVER_ARGS, cluster })
    world.stack.isKilling = true
    const { workspace } = world.stack
    world.proxies = { postgres: await Proxy.start(workspace, world.stack.cluster.port), server: await Proxy.start(workspace, world.stack.server.port) }
    world.stack.bridge = new Bridge(workspace, {
      conninfo: `host=127.0.0.1 port=${world.proxies.postgres.port} user=postgres dbname=app`,
      streamsUrl: `http://127.0.0.1:${world.proxies.server.port}/v1/stream`,
      args: [...BRIDGE_ARGS, ...bridgeArgs],
    })
    world.disks = { server: new Disk(world.server.dataDir), bridge: new Disk(world.bridge.stateDir) }
    await world.server.stop()
    world.history = null
    world.happened = []
    world.oracle = new Oracle(world.stack.db)
    world.traffic = new Traffic(await world.stack.connect(), new Random(seed + 1), traffic)
    for (let i = 0; i < 60; i++) await world.traffic.transaction()
    return world
  }

  get bridge() {
    return this.stack.bridge
  }

  get server() {
    return this.stack.server
  }

  daemon(name) {
    return name === 'serve' || name === 'server' ? this.server : this.bridge
  }

  disk(name) {
    return name === 'serve' || name === 'server' ? this.disks.server : this.disks.bridge
  }

  /** environment: WEIR_FAULT, say. A server is not waited for when it may not live to answer. */
  async start(name, environment = {}, { waits = true } = {}) {
    const daemon = this.daemon(name)
    daemon.environment = { ...this.disk(name).environment(), ...environment }
    if (daemon === this.bridge) daemon.start()
    else if (waits) await daemon.restart()
    else daemon.launch(daemon.command())
  }

  /** Starts both, and has the history begin with what is there. */
  async begin() {
    await this.start('server')
    await this.start('bridge')
    this.history = new History(await this.oracle.state())
    await this.stack.settle()
  }

  /** One random transaction, in the history. */
  async transaction() {
    const { txid } = await this.traffic.transaction()
    if (txid !== null) this.history.committed(txid, await this.oracle.state(), this.traffic.log)
  }

  /** One statement, in the history. */
  async recorded(sql) {
    const { db } = this.traffic
    await db.query('BEGIN')
    await db.query(sql)
    const { rows } = await db.query('SELECT pg_current_xact_id()::xid::text AS txid')
    await db.query('COMMIT')
    this.history.committed(rows[0].txid, await this.oracle.state(), sql)
  }

  async transactions(count) {
    for (let i = 0; i < count; i++) await this.transaction()
  }

  async kill(name) {
    if (this.daemon(name).isRunning()) await this.daemon(name).kill()
  }

  /** SIGSTOP, and SIGCONT. */
  signal(name, signal) {
    if (this.daemon(name).isRunning()) this.daemon(name).child.process.kill(signal)
  }

  /** What is not synced may be gone: the daemon has to be dead. */
  losePower(name) {
    this.disk(name).losePower(this.random)
  }

  /** A crash of Postgres, and its recovery. Between two transactions of ours. */
  async crashPostgres() {
    await this.stack.cluster.crash()
    await this.#startPostgres()
  }

  /** A shutdown that closes all connections, and a start. Between two transactions of ours. */
  async restartPostgres() {
    await this.stack.cluster.shutdown()
    await this.#startPostgres()
  }

  async #startPostgres() {
    await this.stack.cluster.restart()
    for (const [owner, key] of [[this.stack, 'db'], [this.oracle, 'db'], [this.traffic, 'db']]) owner[key] = await this.stack.connect()
    this.oracle.db = this.stack.db
  }

  /** Who has the slot: {pid, is_all_sent, is_all_confirmed, reply_time}; undefined: nobody. */
  async walsender() {
    const { rows } = await this.stack.db.query(
      `SELECT pid, sent_lsn >= pg_current_wal_lsn() AS is_all_sent, flush_lsn >= pg_current_wal_lsn() AS is_all_confirmed, reply_time
         FROM pg_stat_replication JOIN pg_replication_slots ON active_pid = pid WHERE slot_name = $1`, [this.bridge.slot])
    return rows[0]
  }

  /** Starts what does not run. */
  async revive() {
    if (!this.server.isRunning()) await this.start('server')
    if (!this.bridge.isRunning()) await this.start('bridge')
  }

  /** Waits for everything to have arrived and compares each event of each stream. */
  async verify() {
    await this.revive()
    await this.stack.settle({ deadlineMs: 240_000 })
    return this.history.verify(this.server.url, ALL_STREAMS)
  }

  /** Only what the streams come to, and that every event fits: where tables changed or were read again. */
  async verifyEnds() {
    await this.revive()
    await this.stack.settle({ deadlineMs: 240_000 })
    return verifyFolds(this.server.url, await this.oracle.state(), ALL_STREAMS)
  }

  /** Waits for a daemon's death by kill -9 of its own, doing `work` until then. */
  async untilDead(name, work, { tries = 80 } = {}) {
    const daemon = this.daemon(name)
    for (let i = 0; i < tries && daemon.isRunning(); i++) await work(i)
    // Some steps come with time alone, or when what was there before has gone.
    await until(`${name} to die of ${daemon.environment.WEIR_FAULT}`, () => !daemon.isRunning(), { deadlineMs: 60_000 })
    return daemon.child.exited()
  }

  describe() {
    return `seed: WEIR_SEED=${this.seed}\nhappened:\n${this.happened.join('\n')}\nbridge:\n${this.bridge.log(40)}\nserver:\n${this.server.log(25)}`
  }

  /** A daemon that a sanitizer has ended is started again like any other: what it said is looked for. */
  #verifyNoReports() {
    for (const name of readdirSync(this.stack.workspace.dir).filter((name) => name.endsWith('.log'))) {
      const report = readFileSync(this.stack.workspace.path(name), 'utf8').match(REPORT)
      if (report) throw new Error(`${name}: ${report[0]}`)
    }
  }

  async close() {
    try {
      this.#verifyNoReports()
    } finally {
      await this.stack.close()
    }
  }
}

/** Runs a scene and says the seed and the logs when it fails. */
export async function withWorld(name, seed, run, options) {
  const world = await World.create(name, seed, options)
  let result
  try {
    result = await run(world)
  } catch (error) {
    error.message += `\n${world.describe()}`
    await world.close().catch(() => {}) // whatever is wrong there comes of it
    throw error
  }
  await world.close()
  return result
}
