// Tables that are altered, added to the publication and taken out of it while rows change and daemons
// die: after each round every user's folded stream equals what the rules in SQL say.

import test from 'node:test'
import { RULES, SCHEMA, SUBJECTS, TABLES } from '../lib/application.js'
import { Oracle } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { shareCluster } from '../lib/shared_cluster.js'
import { Stack, insertRule } from '../lib/stack.js'
import { userStream } from '../lib/stream.js'
import { Traffic } from '../lib/traffic.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'

const cluster = shareCluster('ddl')
const LONG = process.env.WEIR_LONG === '1'
const ALL_STREAMS = SUBJECTS.map(userStream)

/** Changes of the schema that do not stand in each other's way, in any order. */
class Schema {
  #next = 1
  #columns = [] // {table, name}
  #isPublished = true

  constructor(db, random) {
    this.db = db
    this.random = random
  }

  async change() {
    const kind = this.random.pick(['add', 'add', 'rename', 'type', 'drop', 'publication', 'table', 'rewrite', 'swap'])
    await this[kind]()
  }

  async add() {
    const column = { table: this.random.pick(['todos', 'members', 'comments', 'users']), name: `extra ${this.#next++}` }
    const what = this.random.pick(['int', `int DEFAULT ${this.#next}`, `text DEFAULT 'a "b"'`, 'numeric(8, 2) DEFAULT 1.50', 'timestamptz DEFAULT now()'])
    await this.db.query(`ALTER TABLE ${column.table} ADD COLUMN "${column.name}" ${what}`)
    this.#columns.push(column)
  }

  async rename() {
    if (this.#columns.length === 0) return this.add()
    const column = this.random.pick(this.#columns)
    const name = `renamed ${this.#next++}`
    await this.db.query(`ALTER TABLE ${column.table} RENAME COLUMN "${column.name}" TO "${name}"`)
    column.name = name
  }

  async type() {
    if (this.#columns.length === 0) return this.add()
    const column = this.random.pick(this.#columns)
    await this.db.query(`ALTER TABLE ${column.table} ALTER COLUMN "${column.name}" TYPE text USING "${column.name}"::text`)
  }

  async drop() {
    if (this.#columns.length === 0) return this.add()
    const [column] = this.#columns.splice(this.random.below(this.#columns.length), 1)
    await this.db.query(`ALTER TABLE ${column.table} DROP COLUMN "${column.name}"`)
  }

  async publication() {
    await this.db.query(`ALTER PUBLICATION weir ${this.#isPublished ? 'DROP' : 'ADD'} TABLE comments`)
    this.#isPublished = !this.#isPublished
  }

  /** A table that comes with rows and a rule, all while running. */
  async table() {
    const name = `notes_${this.#next++}`
    await this.db.query(`
      CREATE TABLE ${name} (id int PRIMARY KEY, owner_id text, body text);
      INSERT INTO ${name} SELECT i, (ARRAY['${SUBJECTS.slice(0, 3).map((s) => s.replaceAll("'", "''")).join(`','`)}'])[1 + i % 3], 'note ' || i FROM generate_series(1, 20) i;
      ALTER PUBLICATION weir ADD TABLE ${name}`)
    await insertRule(this.db, { name, relation: name, audience: `SELECT ${name}.owner_id` })
  }

  /** Another table of the same name. */
  async rewrite() {
    await this.db.query(`
      BEGIN;
      CREATE TABLE comments_2 (LIKE comments INCLUDING ALL);
      INSERT INTO comments_2 SELECT * FROM comments;
      UPDATE comments_2 SET body = 'rewritten';
      ALTER TABLE comments RENAME TO comments_old;
      ALTER TABLE comments_2 RENAME TO comments;
      UPDATE weir.rules SET relation = 'comments' WHERE relation = 'comments_old'::regclass;
      DROP TABLE comments_old;
      ${this.#isPublished ? 'ALTER PUBLICATION weir ADD TABLE comments;' : ''}
      COMMIT`)
  }

  /** Two tables take each other's names; their rules go with them. */
  async swap() {
    const [a, b] = [`left_${this.#next++}`, `right_${this.#next++}`]
    for (const name of [a, b]) {
      await this.db.query(`
        CREATE TABLE "${name}" (id int PRIMARY KEY, owner_id text);
        INSERT INTO "${name}" SELECT i, '${name === a ? 'ana' : 'bo'}' FROM generate_series(1, 5) i;
        ALTER PUBLICATION weir ADD TABLE "${name}"`)
      await insertRule(this.db, { name, relation: name, audience: 'SELECT owner_id' })
    }
    await this.db.query(`
      BEGIN;
      ALTER TABLE "${a}" RENAME TO swapping;
      ALTER TABLE "${b}" RENAME TO "${a}";
      ALTER TABLE swapping RENAME TO "${b}";
      COMMIT`)
    await this.db.query(`UPDATE "${a}" SET owner_id = 'a/b' WHERE id = 1`)
  }

  /** What the rules say, of the tables that are published. */
  async expected(oracle) {
    const state = await oracle.state()
    if (this.#isPublished) return state
    for (const [path, rows] of state) {
      for (const id of rows.keys()) if (id.startsWith('comments\u0000')) rows.delete(id)
      if (rows.size === 0) state.delete(path)
    }
    return state
  }
}

for (const isKilling of [false, true]) {
  test(`schemas change while rows do${isKilling ? ' and the bridge is killed' : ''}`, async () => {
    const seed = seedFromEnvironment()
    console.log(`seed: WEIR_SEED=${seed}`)
    const stack = await Stack.create('ddl', { cluster: cluster(), schema: SCHEMA, tables: TABLES, rules: RULES, bridgeArgs: ['--catalog-interval', '100ms'] })
    try {
      const random = new Random(seed)
      const traffic = new Traffic(await stack.connect(), new Random(seed + 1))
      const schema = new Schema(stack.db, random)
      stack.isKilling = isKilling
      stack.bridge.start()
      await stack.settle()
      const rounds = LONG ? 60 : 8
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < 30; i++) {
          if (random.chance(0.1)) await schema.change()
          await traffic.transaction()
          if (isKilling && random.chance(0.08)) {
            await stack.bridge.kill()
            stack.bridge.start()
          }
        }
        if (isKilling && !stack.bridge.isRunning()) stack.bridge.start()
        await stack.settle()
        const expected = await schema.expected(new Oracle(stack.db))
        await until('every stream to be what the rules in SQL say', async () => {
          await verifyFolds(stack.server.url, expected, ALL_STREAMS)
          return true
        })
      }
    } catch (error) {
      error.message += `\nseed: WEIR_SEED=${seed}\nbridge:\n${stack.bridge.log(60)}`
      throw error
    } finally {
      await stack.close()
    }
  })
}
