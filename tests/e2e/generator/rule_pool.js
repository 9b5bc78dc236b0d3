// The rules that a history puts in, changes and takes out: generated beforehand and shown to Weir
// once, so that each is known to be one that it follows.

import { randomRule } from './rules.js'
import { literal, nameArray } from './sql.js'

const MARKER = "'test marker'"
// Language limits that a random rule may run into; any other refusal has to have its reason in the schema.
const LIMITS = /more than \d+ alternatives/
// What a rule may run into whose columns have become other ones.
const LANGUAGE = / not supported /

export class RulePool {
  rules = []
  #next = 1

  #source

  /** options: of randomRule(); hasWhole: that every table is shown as it is to `all`, too. */
  constructor(random, { hasWhole = false, ...options }) {
    this.#source = random
    this.options = options
    this.hasWhole = hasWhole
  }

  /** The tables a rule of weir.rules looks at; undefined where that is not known. */
  readsOf(rule) {
    return this.#byText?.get(`${rule.target} ${rule.audience}`)
  }

  #byText

  #index() {
    // Of older rules it is not known: a name may be another table's by now.
    const known = this.rules.filter((rule) => !(rule.age > 1))
    this.#byText = new Map(known.map((rule) => [`${rule.target} ${rule.audience}`, rule.reads]))
  }

  /** Keeps what still has its table, and adds new ones up to count. */
  renew(model, count) {
    this.random = this.#source.fork()
    this.rules = this.rules.filter((rule) => !rule.isWhole && model.byOid.get(rule.target)?.isFollowed && this.random.chance(0.7))
    if (model.followed.length === 0) return
    while (this.rules.length < count) this.rules.push(randomRule(model, this.random, this.options))
    if (this.hasWhole) this.rules.push(...model.followed.map(({ oid }) => wholeTable(oid)))
    this.#index()
  }

  #values(rule, ruleName) {
    return [literal(ruleName), `${rule.target}::regclass`, literal(rule.audience), nameArray(rule.columns), literal(rule.type), literal(rule.stream)].join(', ')
  }

  #insert(rule) {
    rule.name = `rule ${this.#next++}`
    return `INSERT INTO weir.rules (name, relation, audience, columns, type, stream) VALUES (${this.#values(rule, rule.name)})`
  }

  /** Puts all of them in, instead of what was there; those that Postgres refuses leave the pool. */
  async putAll(db) {
    await db.query(`DELETE FROM weir.rules WHERE name <> ${MARKER}`)
    const kept = []
    for (const rule of this.rules) {
      try {
        await db.query(this.#insert(rule))
        rule.age = (rule.age ?? 0) + 1
        kept.push(rule)
      } catch (error) {
        // 23505: another table has this type in this stream. 42…: made before the schema changed.
        if (error.code !== '23505' && (!rule.age || !/^(42|22)/.test(error.code))) throw Object.assign(error, { message: `${error.message}\n${rule.audience}` })
      }
    }
    this.rules = kept
    this.#index()
  }

  /** Weir's refusals by name, once it has spoken of every rule; undefined before. */
  async refusals(db) {
    const { rows } = await db.query(`SELECT r.name, s.state, s.reason, r.relation_oid AS target, r.audience, r.columns::text[] AS columns FROM weir.rules r LEFT JOIN weir.rule_status s USING (name) WHERE r.name <> ${MARKER}`)
    if (rows.some((row) => row.state === null)) return undefined
    return new Map(rows.filter((row) => row.state === 'refused').map((row) => [row.name, row]))
  }

  /** Every refusal needs a reason that Postgres's catalog confirms. */
  async judge(db, model, refusals) {
    for (const refusal of refusals.values()) {
      const isOld = this.rules.find((rule) => rule.name === refusal.name)?.age > 1
      if (LIMITS.test(refusal.reason) || (isOld && LANGUAGE.test(refusal.reason)) || !(await isFollowable(db, model, refusal))) continue
      throw new Error(`rule on ${model.byOid.get(refusal.target)?.name} refused without need: ${refusal.reason}\n${refusal.audience}`)
    }
    this.rules = this.rules.filter((rule) => !refusals.has(rule.name))
  }

  /** SQL of one change of the rules. current: those there are. */
  change(current) {
    const random = this.#source.fork()
    if (this.rules.length === 0) return 'SELECT 1'
    const rule = random.pick(this.rules)
    if (current.length < 3 || (current.length < 9 && random.chance(0.4))) return this.#insert({ ...rule })
    const victim = random.pick(current)
    if (random.chance(0.5)) return `DELETE FROM weir.rules WHERE name = ${literal(victim.name)}`
    const [, target, audience, columns, type, stream] = [null, `${rule.target}::regclass`, literal(rule.audience), nameArray(rule.columns), literal(rule.type), literal(rule.stream)]
    return `UPDATE weir.rules SET relation = ${target}, audience = ${audience}, columns = ${columns}, type = ${type}, stream = ${stream} WHERE name = ${literal(victim.name)}`
  }
}

/** Whatever is stale in the replica shows. */
function wholeTable(oid) {
  return { isWhole: true, target: oid, audience: `SELECT 'all'::text`, columns: null, type: null, stream: 'whole/{subject}', reads: new Set([oid]) }
}

/** Whether Postgres plans the rule, and every column it reads or shows is published. */
async function isFollowable(db, model, { target, audience, columns }) {
  const table = model.byOid.get(target)
  if (!table?.isFollowed || !(columns ?? []).every((name) => table.published.some((column) => column.name === name))) return false
  const quoted = table.name.replaceAll('"', '""')
  try {
    await db.query(`BEGIN; SET LOCAL search_path = "${table.schema.replaceAll('"', '""')}", public;
      CREATE TEMP VIEW weir_probe AS SELECT s.subject FROM "${table.schema.replaceAll('"', '""')}"."${quoted}" AS "${quoted}", LATERAL (${audience}) AS s(subject)`)
    const { rows } = await db.query(`SELECT d.refobjid AS oid, a.attname AS name FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
        LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND d.refobjsubid > 0 WHERE r.ev_class = 'weir_probe'::regclass AND d.refobjid <> r.ev_class`)
    // A table of which no column is named is read as well.
    return rows.every((row) => model.byOid.get(row.oid)?.isFollowed && (row.name === null || model.byOid.get(row.oid).published.some((column) => column.name === row.name)))
  } catch (error) {
    if (!/^(42|22)/.test(error.code ?? '')) throw error
    return false
  } finally {
    await db.query('ROLLBACK')
  }
}
