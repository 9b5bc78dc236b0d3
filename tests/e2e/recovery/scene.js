// The application with traffic, clients that follow, and the one assertion that all disasters share:
// afterwards every stream has exactly the events that lead from what it held to what Postgres says,
// and each client that stayed has that state.

import assert from 'node:assert/strict'
import { RULES, SCHEMA, SUBJECTS, TABLES } from '../lib/application.js'
import { Oracle, describeDifference, difference, flatten, idOf, printableId } from '../lib/oracle.js'
import { Random, seedFromEnvironment } from '../lib/random.js'
import { request } from '../lib/raw_http.js'
import { Marker, Stack } from '../lib/stack.js'
import { Fold, readStream, userStream } from '../lib/stream.js'
import { Traffic } from '../lib/traffic.js'
import { until } from '../lib/wait.js'
import { Follower } from './follower.js'

export const ALL_STREAMS = [...SUBJECTS.map(userStream), ...Array.from({ length: 61 }, (_, i) => `board/${i}`)]
const FOLLOWED = ['ana', 'bo', 'cy', 'a/b', 'auditor', '日本'].map(userStream)

export class Scene {
  static async run(name, work, options = {}) {
    const scene = new Scene()
    scene.seed = seedFromEnvironment()
    console.log(`${name}: WEIR_SEED=${scene.seed}`)
    scene.random = new Random(scene.seed)
    scene.stack = await Stack.create(name, { schema: SCHEMA, tables: TABLES, rules: RULES, ...options })
    try {
      scene.stack.isKilling = true
      await scene.use(scene.stack.cluster)
      await scene.traffic(80)
      scene.stack.bridge.start()
      await scene.stack.settle()
      scene.follow()
      await work(scene, scene.stack)
    } catch (error) {
      error.message += `\nseed: WEIR_SEED=${scene.seed}\nbridge:\n${scene.stack.bridge.log(60)}\nserver:\n${scene.stack.server.log()}`
      throw error
    } finally {
      for (const follower of scene.followers ?? []) follower.close()
      await scene.stack.close()
    }
  }

  /** Goes on with another cluster: the application's connections go there. */
  async use(cluster) {
    this.stack.cluster = cluster
    this.stack.db = await this.stack.connect()
    this.oracle = new Oracle(this.stack.db)
    this.source = new Traffic(await this.stack.connect(), new Random(this.seed + ++this.clusters), { truncate: true })
  }

  clusters = 0

  follow() {
    this.followers = FOLLOWED.map((path) => new Follower(this.stack.server.url, path))
  }

  async traffic(count) {
    for (let i = 0; i < count; i++) await this.source.transaction()
  }

  /** Clients of streams that are not what they were begin at the beginning. */
  async beginAnew() {
    for (const follower of this.followers) follower.close()
    this.stack.marker = new Marker(this.stack.server.url)
    this.follow()
  }

  /** What every stream holds, and how many events it has. */
  async #read() {
    const streams = new Map()
    for (const path of ALL_STREAMS) streams.set(path, (await readStream(this.stack.server.url, path)).events)
    return streams
  }

  /** To be called with the bridge down, before the disaster or after it, but while the streams are
   * there. */
  async remember() {
    this.before = await this.#read()
  }

  /** Every stream goes on from what it held by exactly the events of the difference, and no client
   * has noticed anything but these. hasNewStreams: the old ones are gone. Returns how many events. */
  async verify({ hasNewStreams = false } = {}) {
    const now = await this.oracle.state()
    const after = await this.#read()
    let count = 0
    for (const path of ALL_STREAMS) {
      const held = hasNewStreams ? [] : this.before.get(path)
      const events = after.get(path)
      count += this.#verifyStream(path, held, events, now.get(path) ?? new Map())
    }
    for (const path of now.keys()) assert.ok(after.has(path), `a stream that is not looked at: ${path}`)
    if (!hasNewStreams) await this.#verifyFollowers(now)
    return count
  }

  #verifyStream(path, held, events, rows) {
    for (const [i, event] of held.entries()) assert.deepEqual(events[i], event, `stream ${path}: event ${i} has changed`)
    const state = new Map([[path, flatten(new Fold().applyAll(held).state)]])
    const wanted = difference(state, new Map([[path, rows]])).get(path) ?? new Map()
    const appended = events.slice(held.length)
    for (const event of appended) {
      const want = wanted.get(idOf(event))
      assert.ok(want, `stream ${path}: uncalled-for ${event.operation} of ${printableId(idOf(event))}`)
      assert.equal(event.operation, want.operation, `stream ${path}: ${printableId(idOf(event))}`)
      if (want.operation !== 'delete') assert.equal(event.value, want.value, `stream ${path}: ${printableId(idOf(event))}`)
    }
    assert.equal(appended.length, wanted.size, `stream ${path}: events appended`)
    new Fold().applyAll(events)
    return appended.length
  }

  async #verifyFollowers(now) {
    for (const follower of this.followers) {
      await until(`the follower of ${follower.path} to have it all`, () =>
        describeDifference(now.get(follower.path) ?? new Map(), flatten(follower.state)) === '')
    }
  }

  /** Stops the bridge with streams that are ahead of its replica. */
  async killAhead() {
    await until('the streams to be ahead of the replica', async () => {
      if (!this.stack.bridge.isRunning()) this.stack.bridge.start()
      await this.traffic(3)
      await this.stack.settle()
      await this.stack.bridge.kill()
      const { body } = await request(this.stack.server.url, `/v1/stream/__weir/producers/${this.stack.bridge.slot}`)
      const { rows } = await this.stack.db.query(
        'SELECT confirmed_flush_lsn < $2::pg_lsn AS is_ahead FROM pg_replication_slots WHERE slot_name = $1',
        [this.stack.bridge.slot, JSON.parse(body).lsn])
      return rows[0].is_ahead
    }, { deadlineMs: 60_000 })
  }

  /** The whole course of a disaster that the bridge mends by itself. isQuiet: nothing is committed
   * meanwhile, as the slot goes on and would bring it transaction by transaction. */
  async survive(disaster, { stop = 'stop', says, cuts = 0, isQuiet = false, ...expected } = {}) {
    if (stop === 'ahead') await this.killAhead()
    else await this.stack.bridge[stop]()
    await this.remember()
    if (!isQuiet) await this.traffic(25)
    await disaster()
    if (!isQuiet) await this.traffic(15)
    const logged = this.stack.bridge.log(1e6).length
    this.stack.bridge.start()
    for (let i = 0; i < cuts; i++) await this.#cut(logged)
    await this.stack.settle()
    const count = await this.verify(expected)
    const log = this.stack.bridge.log(1e6).slice(logged)
    if (says) assert.ok(log.includes(says), `the bridge did not say "${says}":\n${log}`)
    // And then it follows as before.
    await this.traffic(10)
    await this.stack.settle()
    await this.verifyFold()
    if (!expected.hasNewStreams) await this.#verifyFollowers(await this.oracle.state())
    return count
  }

  /** Only the end. */
  async verifyFold() {
    const now = await this.oracle.state()
    for (const [path, events] of await this.#read()) {
      assert.equal(describeDifference(now.get(path) ?? new Map(), flatten(new Fold().applyAll(events).state)), '', `stream ${path}`)
    }
  }

  /** Kills the bridge at a random moment of what it is doing; only requests go by, no clock. */
  async #cut(logged) {
    await until('the bridge to begin', () => this.stack.bridge.log(1e6).length > logged)
    for (let left = this.random.below(120); left > 0; left--) await request(this.stack.server.url, '/healthz')
    await this.stack.bridge.kill()
    this.stack.bridge.start()
  }
}
