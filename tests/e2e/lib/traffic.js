// Random committed SQL over the application: one transaction at a time, of one to several
// operations, with savepoints, errors and rollbacks among them. Everything comes from the seed.

import { CHANGING_RULES, ROLES, SUBJECTS, TEXTS } from './application.js'
import { insertRule } from './stack.js'

const KEY_SPACE = 60 // few keys, so that operations meet the same rows again and again
const KEPT_STATEMENTS = 40

export class Traffic {
  #random
  #log = []

  /** db is a connection of this traffic's own. options.rules: whether rules change too;
   * options.scale multiplies the key space. */
  constructor(db, random, { rules = true, scale = 1, truncate = true } = {}) {
    this.db = db
    this.#random = random
    this.keys = KEY_SPACE * scale
    this.operations = [
      [6, this.addUser], [2, this.changeUser], [1, this.renameUser], [1, this.dropUser],
      [6, this.addProject], [3, this.changeProject], [1, this.dropProject], [1, this.renumberProject],
      [12, this.setMember], [3, this.dropMember], [2, this.moveMember], [1, this.banEverywhere],
      [14, this.addTodo], [4, this.addTodos], [8, this.editTodo], [4, this.giveTodo], [4, this.moveTodo], [3, this.writeBody],
      [3, this.touchNothing], [3, this.dropTodo], [2, this.renumberTodo], [2, this.finishProject], [1, this.swapTodos], [1, this.replaceTodo],
      [8, this.setComment], [3, this.moveComment], [2, this.dropComment], [1, this.comeAndGo],
      [3, this.setCountry], [1, this.dropCountry], [5, this.setGadget], [2, this.changeGadget], [1, this.dropGadget],
      [2, this.writeElsewhere],
    ]
    if (truncate) this.operations.push([1, this.truncate])
    if (rules) this.operations.push([2, this.changeRule])
  }

  /** The latest statements, for a failure's message. */
  get log() {
    return this.#log.join('\n')
  }

  async #run(sql, parameters = []) {
    const shown = parameters.map((p) => (typeof p === 'string' && p.length > 60 ? `${p.slice(0, 60)}…` : p))
    this.#log.push(`${sql.replace(/\s+/g, ' ')} ${shown.length > 0 ? JSON.stringify(shown) : ''}`)
    if (this.#log.length > KEPT_STATEMENTS) this.#log.shift()
    return this.db.query(sql, parameters)
  }

  /** One transaction: {txid, isCommitted}. txid is null when it wrote nothing. */
  async transaction() {
    const r = this.#random
    const count = r.weighted([[5, 1], [3, 2], [2, 3], [1, 6], [1, 12]])
    await this.#run('BEGIN')
    try {
      for (let i = 0; i < count; i++) await this.#operation()
      if (r.chance(0.1)) {
        await this.#run('ROLLBACK')
        return { txid: null, isCommitted: false }
      }
      const { rows } = await this.db.query('SELECT pg_current_xact_id_if_assigned()::xid::text AS txid')
      await this.#run('COMMIT')
      return { txid: rows[0].txid, isCommitted: true }
    } catch (error) {
      await this.#run('ROLLBACK')
      if (error.code === undefined || !error.code.startsWith('23')) throw error // only constraints may fail
      return { txid: null, isCommitted: false }
    }
  }

  /** Half of them under a savepoint, some of which are rolled back. */
  async #operation() {
    const r = this.#random
    const operation = r.weighted(this.operations)
    if (r.chance(0.5)) {
      await operation.call(this)
      return
    }
    await this.#run('SAVEPOINT here')
    try {
      await operation.call(this)
    } catch (error) {
      if (error.code === undefined || !error.code.startsWith('23')) throw error
      await this.#run('ROLLBACK TO here')
      return
    }
    if (r.chance(0.15)) await this.#run('ROLLBACK TO here')
    else if (r.chance(0.5)) await this.#run('RELEASE here')
  }

  #subject() {
    return this.#random.pick(SUBJECTS)
  }

  #maybeSubject() {
    return this.#random.chance(0.1) ? null : this.#subject()
  }

  #text() {
    return this.#random.chance(0.1) ? null : this.#random.pick(TEXTS)
  }

  #key() {
    return this.#random.between(1, this.keys)
  }

  #project() {
    return this.#random.between(1, Math.ceil(this.keys / 5))
  }

  #existingProject() {
    return `(SELECT id FROM projects ORDER BY id OFFSET ${this.#random.below(12)} LIMIT 1)`
  }

  #existingUser() {
    return `(SELECT id FROM users ORDER BY id COLLATE "C" OFFSET ${this.#random.below(10)} LIMIT 1)`
  }

  #existingTodo() {
    return `(SELECT id FROM todos ORDER BY id OFFSET ${this.#random.below(30)} LIMIT 1)`
  }

  #settings() {
    const r = this.#random
    return r.pick([null, '{}', '{"theme":"dark","size":1.50}', '[1,2,{"deep":[null,true]}]', '"just text"', '12345678901234567890123', '{"b":1,"a":{"\\u00e9":"\\""}}', 'null'])
  }

  async addUser() {
    await this.#run(
      `INSERT INTO users (id, name, settings) VALUES ($1, $2, $3::jsonb) ON CONFLICT (id) DO UPDATE SET name = excluded.name`,
      [this.#subject(), this.#text(), this.#settings()])
  }

  async changeUser() {
    await this.#run('UPDATE users SET is_active = NOT is_active, settings = $2::jsonb WHERE id = $1', [this.#subject(), this.#settings()])
  }

  async renameUser() {
    await this.#run('UPDATE users SET id = $1 WHERE id = $2', [this.#subject(), this.#subject()])
  }

  async dropUser() {
    await this.#run('DELETE FROM users WHERE id = $1', [this.#subject()])
  }

  async addProject() {
    await this.#run('INSERT INTO projects VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [this.#project(), this.#text() ?? '', this.#maybeSubject()])
  }

  async changeProject() {
    await this.#run('UPDATE projects SET owner_id = $2, name = $3 WHERE id = $1', [this.#project(), this.#maybeSubject(), this.#text() ?? ''])
  }

  async dropProject() {
    await this.#run('DELETE FROM projects WHERE id = $1', [this.#project()])
  }

  async renumberProject() {
    await this.#run('UPDATE projects SET id = $1 WHERE id = $2', [this.#project(), this.#project()])
  }

  async setMember() {
    await this.#run(
      `INSERT INTO members SELECT p.id, u.id, $1 FROM projects p, users u
        WHERE p.id = ${this.#existingProject()} AND u.id = ${this.#existingUser()}
           ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role`,
      [this.#random.pick(ROLES)])
  }

  async dropMember() {
    await this.#run(`DELETE FROM members WHERE user_id = $1 AND project_id % 3 = $2`, [this.#subject(), this.#random.below(3)])
  }

  async moveMember() {
    await this.#run(`UPDATE members SET project_id = ${this.#existingProject()} WHERE user_id = $1 AND project_id = $2`, [this.#subject(), this.#project()])
  }

  async banEverywhere() {
    await this.#run('UPDATE members SET role = $2 WHERE user_id = $1', [this.#subject(), this.#random.pick(ROLES)])
  }

  async addTodo() {
    await this.#run(
      `INSERT INTO todos (id, project_id, owner_id, title, amount, due, body)
       VALUES ($1, ${this.#existingProject()}, $2, $3, $4::numeric, $5::timestamptz, $6)
       ON CONFLICT (id) DO UPDATE SET title = excluded.title, owner_id = excluded.owner_id`,
      [this.#key(), this.#maybeSubject(), this.#text(), this.#amount(), this.#moment(), this.#random.chance(0.3) ? this.#random.noise(3000) : this.#text()])
  }

  #amount() {
    return this.#random.pick([null, '0', '1.10', '-0.000', '12345678901234567890.123456789', '1e30', '1e-12', '-7'])
  }

  #moment() {
    return this.#random.pick([null, '2026-01-31 12:34:56.123456+02', '1999-12-31 23:59:59Z', 'infinity', '0044-03-15 12:00:00+00 BC', '2026-11-23'])
  }

  async addTodos() {
    await this.#run(
      `INSERT INTO todos (id, project_id, owner_id, title)
       SELECT i, ${this.#existingProject()}, $1, 'bulk ' || i FROM generate_series($2::int, $2::int + $3) i ON CONFLICT DO NOTHING`,
      [this.#maybeSubject(), this.#key(), this.#random.between(1, 15)])
  }

  async editTodo() {
    await this.#run(`UPDATE todos SET title = $1, is_done = $2, amount = $3::numeric WHERE id = ${this.#existingTodo()}`, [this.#text(), this.#random.chance(0.5), this.#amount()])
  }

  async giveTodo() {
    await this.#run(`UPDATE todos SET owner_id = $1 WHERE id = ${this.#existingTodo()}`, [this.#maybeSubject()])
  }

  async moveTodo() {
    const project = this.#random.chance(0.1) ? 'NULL' : this.#existingProject()
    await this.#run(`UPDATE todos SET project_id = ${project} WHERE id = ${this.#existingTodo()}`)
  }

  async writeBody() {
    await this.#run(`UPDATE todos SET body = $1 WHERE id = ${this.#existingTodo()}`, [this.#random.chance(0.5) ? this.#random.noise(this.#random.between(2500, 9000)) : null])
  }

  async touchNothing() {
    await this.#run(`UPDATE todos SET title = title, owner_id = owner_id WHERE id % 7 = $1`, [this.#random.below(7)])
  }

  async dropTodo() {
    await this.#run(`DELETE FROM todos WHERE id = ${this.#existingTodo()}`)
  }

  async renumberTodo() {
    await this.#run(`UPDATE todos SET id = $1 WHERE id = ${this.#existingTodo()}`, [this.#key()])
  }

  async finishProject() {
    await this.#run('UPDATE todos SET is_done = true WHERE project_id = $1', [this.#project()])
  }

  /** Two rows change keys through a third: the net effect is two updates. */
  async swapTodos() {
    const [a, b] = [this.#key(), this.#key()]
    await this.#run('UPDATE todos SET id = -1 WHERE id = $1', [a])
    await this.#run('UPDATE todos SET id = $1 WHERE id = $2', [a, b])
    await this.#run('UPDATE todos SET id = $1 WHERE id = -1', [b])
  }

  async replaceTodo() {
    const key = this.#key()
    await this.#run('DELETE FROM todos WHERE id = $1', [key])
    await this.#run('INSERT INTO todos (id, owner_id, title) VALUES ($1, $2, $3)', [key, this.#maybeSubject(), this.#text()])
  }

  async setComment() {
    await this.#run(
      `INSERT INTO comments VALUES ($1, ${this.#existingTodo()}, $2, $3)
       ON CONFLICT (id) DO UPDATE SET body = excluded.body, author_id = excluded.author_id`,
      [this.#random.pick(TEXTS) + this.#random.below(4), this.#maybeSubject(), this.#text()])
  }

  async moveComment() {
    await this.#run(`UPDATE comments SET todo_id = ${this.#existingTodo()} WHERE id = $1`, [this.#random.pick(TEXTS) + this.#random.below(4)])
  }

  async dropComment() {
    await this.#run('DELETE FROM comments WHERE id = $1', [this.#random.pick(TEXTS) + this.#random.below(4)])
  }

  /** A row that exists only inside the transaction: nobody may ever see it. */
  async comeAndGo() {
    await this.#run(`INSERT INTO comments VALUES ('ghost', ${this.#existingTodo()}, $1, 'never committed')`, [this.#subject()])
    await this.#run(`UPDATE comments SET author_id = $1 WHERE id = 'ghost'`, [this.#subject()])
    await this.#run(`DELETE FROM comments WHERE id = 'ghost'`)
  }

  async setCountry() {
    await this.#run(
      'INSERT INTO countries VALUES ($1, $2, $3::numeric) ON CONFLICT (code) DO UPDATE SET name = excluded.name, area = excluded.area',
      [this.#random.pick(TEXTS), this.#text(), this.#random.pick([null, '1.5', '0', '357022.0000'])])
  }

  async dropCountry() {
    await this.#run('DELETE FROM countries WHERE code = $1', [this.#random.pick(TEXTS)])
  }

  #gadgetId() {
    return `00000000-0000-4000-8000-${String(this.#random.below(20)).padStart(12, '0')}`
  }

  async setGadget() {
    const r = this.#random
    const value = [
      this.#gadgetId(), this.#maybeSubject(), r.pick([null, -32768, 7]), r.pick([null, '9223372036854775807', '-1']),
      r.pick([null, '1.5', '1e-7', '3.4028235e38']), r.pick([null, '0.1', '1e300', '-2.5e-300', '1e15', '123456789012345680']),
      r.pick([null, '1.1', '-99.999']), r.pick([null, '1.10', '1e-20', '100']), r.pick([null, '\\x', '\\x00ff5c22']), r.pick([null, '2026-02-28', '4713-01-01 BC', 'infinity']),
      r.pick([null, '2026-01-01 00:00:00.5', '-infinity']), this.#moment(), r.pick([null, '1 year 2 mons -3 days 04:05:06.7', '-00:00:01']),
      r.pick([null, '{"a": 1.0, "b" : [1e2, "\\u00e9\\n"]}', '[]', '" x "', 'null']), this.#settings(),
      r.pick([null, '{}', '{1,NULL,3}', '{{1,2},{3,4}}']), r.pick([null, '{}', '{"a b","quote\\"d",NULL,"null","{}",""}']), r.pick([null, '{1.10,2e3}']),
      r.pick([null, 'glad', 'so so', 'sad "quoted"']), r.pick([null, '(1,2.50,"a ""b"" , c")', '(,,)']), r.pick([null, 5]),
      r.pick([null, 'ab', '']), r.pick([null, '10.0.0.1/8', '::1']), r.pick([null, '101', '']), this.#text(), r.pick([null, true, false]),
    ]
    await this.#run(
      `INSERT INTO gadgets VALUES (${value.map((_, i) => `$${i + 1}`).join(', ')})
       ON CONFLICT (id) DO UPDATE SET owner_id = excluded.owner_id, free = excluded.free, document = excluded.document`,
      value)
  }

  async changeGadget() {
    await this.#run(`UPDATE gadgets SET small = coalesce(small, 0) / 2, flag = NOT flag, texts = texts || $2::text, "Odd ""name" = $2 WHERE id = $1`, [this.#gadgetId(), this.#text()])
  }

  async dropGadget() {
    await this.#run('DELETE FROM gadgets WHERE id = $1', [this.#gadgetId()])
  }

  async writeElsewhere() {
    if (this.#random.chance(0.5)) await this.#run('INSERT INTO unpublished (note) VALUES ($1)', [this.#text()])
    else await this.#run(`SELECT pg_logical_emit_message(true, 'app', 'a message')`)
  }

  async truncate() {
    await this.#run(this.#random.weighted([
      [4, 'TRUNCATE comments'], [3, 'TRUNCATE countries'], [2, 'TRUNCATE gadgets'], [2, 'TRUNCATE members'], [1, 'TRUNCATE todos CASCADE'],
      [1, 'TRUNCATE projects CASCADE'],
    ]))
  }

  async changeRule() {
    const r = this.#random
    const { name, relation, audiences } = r.pick(CHANGING_RULES)
    const audience = r.pick(audiences)
    const { rows } = await this.#run('SELECT audience FROM weir.rules WHERE name = $1', [name])
    if (rows.length === 0) {
      this.#log.push(`insert rule ${name}: ${audience}`)
      await insertRule(this.db, { name, relation, audience })
    } else if (r.chance(0.5)) await this.#run('UPDATE weir.rules SET audience = $2 WHERE name = $1', [name, audience])
    else await this.#run('DELETE FROM weir.rules WHERE name = $1', [name])
  }
}
