// One generated database and its history: rounds of transactions between which every stream is
// compared with the oracle.

import { SUBJECTS } from '../lib/application.js'
import { difference, printableId } from '../lib/oracle.js'
import { Random } from '../lib/random.js'
import { Stack } from '../lib/stack.js'
import { readStream, userStream } from '../lib/stream.js'
import { until } from '../lib/wait.js'
import { Ddl } from './ddl.js'
import { Ledger } from './ledger.js'
import { loadModel } from './model.js'
import { followOperations } from './operations.js'
import { LiveOracle } from './oracle.js'
import { RulePool } from './rule_pool.js'
import { SchemaMaker, publicationSql } from './schema.js'
import { Session } from './session.js'
import { name } from './sql.js'

const ALL_STREAMS = SUBJECTS.map(userStream)
const KEPT_STATEMENTS = 30
const SESSIONS = 4
const PATIENCE_MS = 600_000 // for what ends by itself; a fault is told by what is there, not by how long it took

// What a world is about: how its transactions are looked at, and what may change in it.
const KINDS = {
  // Every transaction by itself, and several as one; all that DDL can do.
  exact: { rounds: [[8, 'serial'], [3, 'serialUnwatched'], [3, 'concurrent'], [1, 'prepared'], [4, 'schemaChanges']], batch: 40 },
  // Many transactions of several writers, compared every few hundred.
  busy: { rounds: [[1, 'serial'], [4, 'serialUnwatched'], [12, 'concurrent'], [2, 'prepared'], [5, 'schemaChanges']], batch: 200 },
  // The publication leaves out rows.
  filtered: { rounds: [[6, 'serial'], [3, 'serialUnwatched'], [6, 'concurrent'], [1, 'prepared'], [3, 'schemaChanges']], batch: 100, hasFilters: true },
  // The publication leaves out operations.
  partial: { rounds: [[6, 'serial'], [3, 'serialUnwatched'], [6, 'concurrent']], batch: 100, isPartial: true },
  // Few transactions between one change of schema and rules and the next, and somebody dies all the time.
  restless: {
    rounds: [[4, 'serial'], [2, 'serialUnwatched'], [1, 'concurrent'], [1, 'prepared'], [7, 'schemaChanges']], batch: 20,
    hasWhole: true, kills: [0.7, 0.1], killsAtDdl: 0.5, ruleChanges: 0.3, serial: [5, 25], checkpoints: ['1s', '10s', '10s'], share: 4,
  },
}

export class World {
  counts = { transactions: 0, commits: 0, exact: 0, rules: 0, ddl: 0, kills: 0 }
  #log = []
  #rulesTold
  #fences = 0
  markerOffset = '-1'
  #gids = 0

  /** seed decides everything, but for what runs at the same time: who is killed when changes nothing else.
   * transactions: how many are going to be tried, so that there are several rounds; tables: how many to begin
   * with; kills: another seed for these; tell: is given what is going to be done,
   * step by step. */
  static async create(seed, cluster, { transactions, tables = 6, rules = 10, kills = seed, tell = () => {} }) {
    const world = new World()
    world.tell = tell
    const random = (world.random = new Random(seed))
    world.kills = new Random(~kills)
    world.looks = new Random(seed ^ 0x5eed)
    world.kind = KINDS[random.weighted([[3, 'exact'], [4, 'busy'], [2, 'filtered'], [1, 'partial'], [1, 'restless']])]
    world.batch = Math.min(world.kind.batch, Math.ceil(transactions / 20))
    // The oracle puts what is left of a table in its place by its bare name.
    const isBare = world.kind.hasFilters || world.kind.isPartial
    world.schemas = !isBare && random.chance(0.4) ? ['public', 'Other app'] : ['public']
    world.maker = new SchemaMaker(random, { tables: random.between(2, tables), schemas: world.schemas })
    world.ruleCount = rules
    world.schema = world.maker.sql()
    world.stack = await Stack.create('generator', {
      schema: world.schema, tables: [], rules: [], cluster, database: `generator_${seed >>> 0}_${kills >>> 0}`,
      bridgeArgs: ['--checkpoint-interval', random.pick(world.kind.checkpoints ?? ['100ms', '1s', '10s']), '--batch-size', random.pick(['4M', '4M', '64K'])],
      serverArgs: ['--page-size', random.pick(['1M', '4K'])],
    })
    try {
      await world.#begin()
    } catch (error) {
      throw await world.close(error)
    }
    return world
  }

  async #begin() {
    const { stack, random } = this
    const connect = async () => {
      const client = await stack.connect()
      await client.query(`SET statement_timeout = ${PATIENCE_MS}`) // a wait without end is to be an error
      return client
    }
    const db = (this.db = await connect())
    this.model = await loadModel(db)
    this.publication = publicationSql(random, this.model, this.schemas, this.kind)
    await db.query(this.publication)
    this.model = await loadModel(db)
    this.pool = new RulePool(random, { isBare: this.kind.hasFilters || this.kind.isPartial, hasWhole: this.kind.hasWhole })
    const asked = await connect()
    // PostgreSQL 15 leaves the default partition out of `k NOT BETWEEN 4 AND 7 AND NOT (k != k)`, whose second half it makes `k IS NOT NULL`.
    await asked.query('SET enable_partition_pruning = off')
    this.oracle = new LiveOracle(asked, (rule) => this.pool.readsOf(rule))
    this.session = new Session(db, random)
    this.others = []
    for (let i = 1; i < SESSIONS; i++) this.others.push(new Session(await connect(), random.fork()))
    this.ddl = new Ddl(random, this.maker, this.kind)
    this.ledger = new Ledger(stack.server.url, ALL_STREAMS)
    for (let i = 0; i < 60; i++) await this.session.run(this.session.plan(this.model))
    if (this.kind.isPartial) await followOperations(db, this.model)
    this.model = await loadModel(db)
    // What the next transaction does not bring to light, as a new table of a schema that is published, takes a look.
    const { isAllTables, isBySchema } = this.model.publication
    const interval = !isAllTables && !isBySchema && this.looks.chance(0.6) ? '1h' : '100ms'
    stack.bridge.args.push('--catalog-interval', interval)
    stack.markByInsert = !this.model.publication.publish.includes('update')
    stack.bridge.start()
    await this.#loosely(async () => {})
  }

  /** Rounds until so many transactions have been tried, or fewer where each takes long. */
  async run(transactions) {
    while (this.counts.transactions < transactions / (this.kind.share ?? 1)) {
      await this.#round(this.random.weighted(this.kind.rounds))
      await this.#settle()
      await this.ledger.verify()
    }
    return { ...this.counts, events: this.ledger.events }
  }

  #round(name) {
    this.tell(`round: ${name}`)
    if (name === 'serial') return this.#serial()
    if (name === 'serialUnwatched') return this.#serialUnwatched()
    if (name === 'concurrent') return this.#concurrent()
    return name === 'prepared' ? this.#prepared() : this.#schemaChanges()
  }

  async #settle() {
    await this.killing
    if (this.killFailure) throw this.killFailure
    const { bridge } = this.stack
    if (!bridge.isRunning()) throw new Error(`weir bridge has ended by itself: ${JSON.stringify(await bridge.child.exited())}`)
    await this.stack.settle({ deadlineMs: PATIENCE_MS })
  }

  #note(session, txid) {
    this.#log.push(`-- ${txid ?? 'rolled back'}\n` + session.last.join(';\n  ').replace(/'[0-9a-z]{200,}'/g, `'…'`))
    if (this.#log.length > KEPT_STATEMENTS) this.#log.shift()
  }

  /** Runs one transaction: {txid, touched, withRules}. */
  /** Whether rows that were truncated are gone, or replaced when they come again: where neither is published, an
   * update leaves them what is long and did not change, which Postgres does not send; so it does to a subscription. */
  #forgets() {
    return /insert|truncate/.test(this.model.publication.publish)
  }

  async #transaction(session, { withRules = false, end } = {}) {
    const plan = session.plan(this.model, { more: withRules ? [this.pool.change(this.oracle.rules)] : [], canTruncate: end === undefined && this.#forgets() })
    if (session === this.session) this.tell(plan.sql.join(';\n'))
    const txid = await session.run(plan, end)
    this.#note(session, txid)
    this.counts.transactions++
    if (txid) this.counts.commits++
    return { txid, touched: txid ? plan.touched : new Set(), withRules: withRules && txid !== null }
  }

  async #record(transactions) {
    const touched = new Set(transactions.flatMap((each) => [...each.touched]))
    const withRules = transactions.some((each) => each.withRules)
    const streams = await this.oracle.advance(touched, withRules)
    const txids = transactions.filter((each) => each.txid).map((each) => each.txid)
    if (txids.length > 0) this.ledger.record(txids, streams, `${this.#log.slice(-Math.max(5, transactions.length)).join('\n')}\n${this.#rulesNow()}`)
    if (transactions.length === 1) this.counts.exact += txids.length
  }

  /** Kept with each segment, as they may be others when a failure is told. */
  #rulesNow() {
    const { rules } = this.oracle
    if (this.#rulesTold?.rules !== rules) {
      const told = rules.map(({ name, type, stream, audience, isRefused }) => JSON.stringify({ name, type, stream, audience, isRefused }))
      this.#rulesTold = { rules, text: `rules then:\n${told.join('\n')}` }
    }
    return this.#rulesTold.text
  }

  #perhapsKill(chance) {
    if (this.killing || !this.kills.chance(chance)) return
    this.counts.kills++
    const victim = this.kills.weighted([[3, 'bridge'], [2, 'server'], [1, 'both'], [1, 'stop']])
    this.#log.push(`-- killed: ${victim}`)
    this.killing = this.#kill(victim)
      .catch((error) => (this.killFailure = error))
      .finally(() => (this.killing = undefined))
  }

  async #kill(victim) {
    const { bridge, server } = this.stack
    if (victim === 'stop') {
      await bridge.stop().catch((error) => {
        if (!/ended with SIGTERM/.test(error.message)) throw error // before it listens to signals
      })
    }
    if (victim === 'bridge' || victim === 'both') await bridge.kill()
    if (victim === 'server' || victim === 'both') {
      await server.kill()
      await server.restart()
    }
    if (victim !== 'server') bridge.start()
  }

  #killing() {
    const [chance, pace] = this.kind.kills ?? [0.3, 0.04]
    return this.random.chance(chance) ? pace : 0
  }

  /** Every transaction is compared by itself. */
  async #serial() {
    const pace = this.#killing()
    for (let i = this.random.between(...(this.kind.serial ?? [40, 120])); i > 0; i--) {
      this.#perhapsKill(pace)
      await this.#record([await this.#transaction(this.session, { withRules: this.random.chance(this.kind.ruleChanges ?? 0.04) })])
    }
  }

  /** Several are compared as one. */
  async #serialUnwatched() {
    const pace = this.#killing()
    for (let i = this.random.between(3, 8); i > 0; i--) {
      const done = []
      for (let n = this.random.between(2, this.batch); n > 0; n--) {
        this.#perhapsKill(pace)
        done.push(await this.#transaction(this.session, { withRules: this.random.chance(this.kind.ruleChanges ?? 0.02) }))
      }
      await this.#record(done)
    }
  }

  async #concurrent() {
    const pace = this.#killing()
    const done = []
    await Promise.all([this.session, ...this.others].map(async (session) => {
      for (let i = 0; i < this.batch; i++) {
        if (session === this.session) this.#perhapsKill(pace)
        done.push(await this.#transaction(session, { withRules: session === this.session && this.random.chance(0.05) }))
      }
    }))
    await this.#record(done)
  }

  /** A prepared transaction that others overtake, as far as its locks let them. */
  async #prepared() {
    for (let i = this.random.between(2, 5); i > 0; i--) {
      const gid = `weir ${++this.#gids}`
      const [other] = this.others
      const prepared = await this.#transaction(other, { end: `PREPARE TRANSACTION '${gid}'` })
      await this.db.query(`SET lock_timeout = '50ms'`)
      for (let n = this.random.below(4); n > 0; n--) await this.#record([await this.#transaction(this.session)])
      await this.db.query('RESET lock_timeout')
      this.#perhapsKill(0.1)
      if (await this.#endPrepared(gid, this.random.chance(0.7) ? 'COMMIT' : 'ROLLBACK')) await this.#record([prepared])
    }
  }

  /** Whether it was committed. One that failed has not been prepared. */
  async #endPrepared(gid, how) {
    const { rows } = await this.db.query('SELECT 1 FROM pg_prepared_xacts WHERE gid = $1', [gid])
    if (rows.length > 0) await this.db.query(`${how} PREPARED '${gid}'`)
    return rows.length > 0 && how === 'COMMIT'
  }

  async #schemaChanges() {
    const pace = this.#killing()
    await this.#loosely(async () => {
      for (let i = this.random.between(1, 3); i > 0; i--) {
        for (let n = this.random.below(6); n > 0; n--) await this.#transaction(this.session)
        this.#perhapsKill(this.kind.killsAtDdl ?? pace * 5)
        await this.#changeSchema()
        for (let n = this.random.below(6); n > 0; n--) await this.#transaction(this.session)
      }
    })
  }

  /** One or two changes of the schema, rows written before, between and after, all in a transaction. */
  async #changeSchema() {
    const { session, db } = this
    this.counts.ddl++
    session.renew()
    const done = ['BEGIN']
    const write = async () => {
      for (let n = this.random.below(3); n > 0; n--) done.push(session.statements.any(this.model).sql)
      for (const sql of done.splice(1)) await this.#step(sql)
    }
    try {
      await db.query('BEGIN')
      await write()
      for (let n = this.random.weighted([[4, 1], [1, 2]]); n > 0; n--) {
        this.ddl.random = this.maker.random = this.random.fork()
        await this.#step(this.ddl.any(this.model))
        this.model = await loadModel(db)
        await write()
      }
      await db.query(this.random.chance(0.1) ? 'ROLLBACK' : 'COMMIT')
    } finally {
      await db.query('ROLLBACK')
      this.model = await loadModel(db)
    }
  }

  async #step(sql) {
    this.tell(sql)
    await this.db.query('SAVEPOINT step')
    try {
      await this.db.query(sql)
      this.#log.push(sql)
    } catch (error) {
      if (error.code === undefined || error.code.startsWith('XX')) throw error
      await this.db.query('ROLLBACK TO step')
    }
  }

  /** Work after which the bridge reads tables again: compared once that is over. The rules are
   * written anew, as many of the old ones as there still can be among them. */
  async #loosely(work) {
    await work()
    this.model = await loadModel(this.db)
    this.pool.renew(this.model, this.ruleCount)
    for (const rule of this.pool.rules) this.tell(`${rule.stream} ${rule.type} ${rule.columns} ${rule.audience}`)
    await this.pool.putAll(this.db)
    this.counts.rules += this.pool.rules.length
    await this.#fence()
    await this.#settle()
    let refusals
    await this.ledger.verifyInTheEnd(async () => {
      refusals = await this.pool.refusals(this.db)
      if (!refusals) throw new Error('weir.rule_status does not speak of every rule')
      await this.oracle.reload(this.model, new Set(refusals.keys()))
      return this.oracle.state()
    }, PATIENCE_MS)
    await this.pool.judge(this.db, this.model, refusals)
  }

  /** Sees to it that the bridge has taken up every change of the schema so far: it has, once it
   * shows a column that was added behind them. A bridge that looks once in an hour does so for the
   * mark. */
  async #fence() {
    const column = `fence_${++this.#fences}`
    await this.db.query(`ALTER TABLE public.test_marker ${this.#fences > 1 ? `DROP COLUMN fence_${this.#fences - 1}, ` : ''}ADD COLUMN ${column} int DEFAULT 1`)
    await this.stack.mark()
    await this.killing
    let last
    await until('the bridge to take up the changed schema', async () => {
      const { events, offset } = await readStream(this.stack.server.url, 'test-marker/all/data', this.markerOffset)
      this.markerOffset = offset
      last = events.at(-1) ?? last
      return last?.value?.includes(name(column))
    }, { deadlineMs: PATIENCE_MS })
  }

  /** What a failure needs to be understood, and the end of it all. */
  async close(error) {
    if (error) error.message = `${error.message}\n${await this.#oracleVerdict()}${this.#story()}`.replace(/[0-9a-z]{200,}/g, '…')
    try {
      await this.killing
      await this.stack.close()
    } catch (another) {
      error ??= another
    }
    return error
  }

  /** Whether the oracle was up to date, so that an error of its own is not looked for in Weir. */
  async #oracleVerdict() {
    try {
      const before = this.oracle.state()
      await this.oracle.reload(await loadModel(this.db), new Set(this.oracle.rules.filter((rule) => rule.isRefused).map((rule) => rule.name)))
      const stale = [...difference(before, this.oracle.state())].map(([path, events]) => `${path}: ${[...events.keys()].map(printableId)}`)
      return stale.length > 0 ? `the oracle was not up to date: ${stale.slice(0, 5).join('; ')}\n` : ''
    } catch (error) {
      return `the oracle cannot be asked: ${error.message}\n`
    }
  }

  #story() {
    const rules = this.oracle?.rules.map(({ name: rule, target, audience, columns, type, stream, isRefused }) => JSON.stringify({ rule, target, audience, columns, type, stream, isRefused }))
    return `schema:\n${this.schema}\npublication: ${this.publication}\ntables now: ${this.model?.tables.map((table) => `${table.oid} ${table.schema}.${table.name}${table.isFollowed ? '' : ' (not followed)'}`).join(', ')}\nrules:\n${rules?.join('\n')}\nlatest transactions:\n${this.#log.slice(-KEPT_STATEMENTS).join('\n')}\nbridge:\n${this.stack.bridge?.log(60)}\nserver:\n${this.stack.server?.log(5)}`
  }
}
