// One connection that runs random transactions: whole ones in one message, or statement by statement
// with savepoints to go back to.

import { Statements } from './statements.js'

// What may fail in a random transaction: constraints and values, and what concurrency and DDL bring.
// 55000: updates of a table that is published without a replica identity.
const EXPECTED = /^(22|23|42|40|0A|2B|2201|55P03|55006|55000|428C9)/

const TXID_SQL = 'SELECT pg_current_xact_id_if_assigned()::xid::text AS txid'

export class Session {
  #source

  constructor(db, random) {
    this.db = db
    this.#source = random
    this.statements = new Statements(random)
  }

  /** Each transaction has a Random of its own: what came before it, and went one way or the other, does
   * not change what it is. */
  renew() {
    this.random = this.statements.random = this.#source.fork()
  }

  /** {sql: statements, touched: Set of roots, isLoose}: of one transaction, not yet run. more: SQL
   * that is to be among them. canTruncate: not what is prepared, as nobody could read the table. */
  plan(model, { more = [], canTruncate = true } = {}) {
    this.renew()
    const count = this.random.weighted([[6, 1], [3, 2], [2, 3], [1, 6]])
    const sql = [...more]
    const touched = new Set()
    for (let i = more.length > 0 ? 1 : 0; i < count; i++) {
      const statement = this.statements.any(model)
      // A truncated partition is read again: that is for changes of the schema.
      if (statement.isTruncate && (!canTruncate || model.isPartitionedReached(statement.table))) continue
      const { sql: text } = statement
      for (const oid of model.reached(statement.table)) touched.add(oid)
      sql.splice(this.random.below(sql.length + 1), 0, text)
    }
    return { sql, touched }
  }

  #withSavepoints(statements) {
    return statements.flatMap((text, i) => {
      if (!this.random.chance(0.15)) return [text]
      return [`SAVEPOINT s${i}`, text, this.random.chance(0.5) ? `ROLLBACK TO s${i}` : `RELEASE s${i}`]
    })
  }

  /** Runs it: its txid, null when nothing was committed. end: COMMIT unless given. */
  async run({ sql }, end) {
    const ending = end ?? (this.random.chance(0.06) ? 'ROLLBACK' : 'COMMIT')
    const isWhole = this.random.chance(0.85)
    this.last = isWhole ? ['BEGIN', ...this.#withSavepoints(sql), TXID_SQL, ending] : sql
    try {
      const txid = isWhole ? await this.#runWhole() : await this.#runBySteps(sql, ending)
      return ending === 'ROLLBACK' ? null : txid
    } catch (error) {
      await this.db.query('ROLLBACK')
      if (!EXPECTED.test(error.code ?? '')) throw Object.assign(error, { message: `${error.message} (${error.code})\n${this.last.join(';\n')}` })
      return null
    }
  }

  async #runWhole() {
    const results = await this.db.query(this.last.join(';\n'))
    return results.findLast((result) => result.fields?.[0]?.name === 'txid').rows[0].txid
  }

  /** An error goes back to where its statement began. */
  async #runBySteps(sql, ending) {
    await this.db.query('BEGIN')
    this.last = ['BEGIN']
    for (const text of sql) {
      await this.db.query('SAVEPOINT here')
      try {
        await this.db.query(text)
        this.last.push(text)
      } catch (error) {
        if (!EXPECTED.test(error.code ?? '') || /^40/.test(error.code)) throw error
        await this.db.query('ROLLBACK TO here')
      }
    }
    const { rows } = await this.db.query(TXID_SQL)
    await this.db.query(ending)
    this.last.push(ending)
    return rows[0].txid
  }
}
