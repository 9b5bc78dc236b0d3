// A flipped bit in replica.mdb of a bridge that was killed: in rows, memberships, index entries and the
// named values. It ends the bridge with what is damaged and what to do, or changes nothing; what is
// printed is then run to the letter. Each time every stream goes on by exactly the events of the difference
// between what it held and what Postgres says: none is wrong, and none comes twice. WEIR_SEED repeats a run.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { Scene } from '../e2e/recovery/scene.js'
import { flip } from './lib/flip.js'

const LONG = process.env.WEIR_LONG === '1'
const FLIPS = LONG ? 25 : 3 // of each kind

/** What is looked for in the file, and the bytes around it of which one is changed: node, key, record and checksum. */
const KINDS = {
  rows: { pattern: /\{"id":[^}\0]{10,400}\}/g, before: 70, behind: 4 },
  memberships: { pattern: /\{"project_id":[^}\0]{5,200}\}/g, before: 50, behind: 4 },
  // The index's number, and the first column's value.
  entries: { pattern: /\0\0\0[\x01-\x1f][\w/]{1,20}\0\x01/g, before: 8, behind: 24 },
  values: { pattern: /identity|following|timeline|source|catalog|indexes|loaded at|rule language|lsn|hash|format|weir replica/g, before: 12, behind: 24 },
}

/** One transaction that reads and changes whatever there is, and who may see it. */
const EVERYTHING = `
BEGIN;
UPDATE todos SET title = coalesce(title, '') || '.';
UPDATE members SET role = CASE role WHEN 'banned' THEN 'editor' WHEN 'editor' THEN 'banned' ELSE role END;
UPDATE comments SET body = coalesce(body, '') || '.';
UPDATE projects SET name = name || '.';
UPDATE users SET name = coalesce(name, '') || '.';
COMMIT`

function place(file, kind, random) {
  const { pattern, before, behind } = KINDS[kind]
  const found = [...readFileSync(file).toString('latin1').matchAll(pattern)]
  assert.ok(found.length > 0, `no ${kind} in ${file}`)
  const match = random.pick(found)
  return match.index - before + random.below(before + match[0].length + behind)
}

/** What a bridge that has ended says: 'named' and the remedy, or 'crashed'. */
function judge({ code, signal }, log, what) {
  if (signal === 'SIGSEGV' || signal === 'SIGBUS') return { outcome: 'crashed' }
  assert.ok(signal === 'SIGABRT' || code === 1, `${what}: ended with ${code ?? signal}\n${log}`)
  assert.match(log, /replica\.mdb is damaged|replica \S+: .*MDB_|format of another version/, `${what}: ended without naming the damage\n${log}`)
  const hint = log.match(/hint="(rm -r (?:[^"\\]|\\.)*)"/)
  assert.ok(hint, `${what}: no remedy\n${log}`)
  return { outcome: 'named', remedy: hint[1].replace(/\\(.)/g, '$1') }
}

/** Looks after a bridge whose replica is damaged: it may meet the damage at any time. Each time that it ends, it has to
 * say why, and goes on after the remedy that it printed. */
class Supervisor {
  outcome = 'unharmed'
  #isOver = false

  constructor(bridge, what) {
    this.bridge = bridge
    this.failed = new Promise((_, reject) => this.#watch(what).catch(reject))
    this.failed.catch(() => {}) // told by whom it concerns
  }

  async #watch(what) {
    const { bridge } = this
    let logged = bridge.log(1e6).length
    for (bridge.start(); ; bridge.start()) {
      const end = await bridge.child.exited(2 ** 31 - 1)
      if (this.#isOver) return
      const log = bridge.log(1e6)
      const { outcome, remedy = `rm -r '${bridge.stateDir}'` } = judge(end, log.slice(logged), what)
      logged = log.length
      this.outcome = outcome
      execFileSync('sh', ['-ec', remedy])
    }
  }

  /** Work that the bridge has to get through, whatever it meets. */
  during(work) {
    return Promise.race([work, this.failed])
  }

  end() {
    this.#isOver = true
  }
}

/** The traffic empties tables, too: of each kind there has to be something. */
async function fill(scene) {
  const isEmpty = async () => (await scene.stack.db.query('SELECT FROM members LIMIT 1')).rowCount === 0
  while (await isEmpty()) await scene.traffic(1)
  await scene.stack.settle()
}

async function damage(scene, kind) {
  const { stack, random } = scene
  const { bridge } = stack
  await fill(scene)
  await bridge.kill()
  await scene.remember()
  const file = join(bridge.stateDir, 'replica.mdb')
  const at = place(file, kind, random), bit = random.below(8)
  const what = `${kind}: byte ${at} bit ${bit}`
  flip(file, at, bit)
  await stack.db.query(EVERYTHING)
  const supervisor = new Supervisor(bridge, what)
  try {
    await supervisor.during(stack.settle())
    await supervisor.during(scene.verify())
    await supervisor.during(scene.traffic(10))
    await supervisor.during(stack.settle())
    supervisor.end()
  } catch (error) {
    error.message = `${what} (${supervisor.outcome}): ${error.message}`
    throw error
  }
  return supervisor.outcome
}

test('a flipped bit in the replica is named, or changes nothing', async () => {
  const options = { bridgeArgs: ['--checkpoint-interval', '300ms'] }
  await Scene.run('damage-replica', async (scene) => {
    const outcomes = {}
    await scene.traffic(10)
    await scene.stack.settle()
    for (let i = 0; i < FLIPS; i++) {
      for (const kind of Object.keys(KINDS)) {
        const outcome = `${kind} ${await damage(scene, kind)}`
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      }
    }
    console.log(JSON.stringify(outcomes))
    assert.ok(Object.keys(outcomes).some((outcome) => outcome.endsWith('named')), 'no flip was noticed')
  }, options)
})
