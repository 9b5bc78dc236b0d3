// Everything a scenario needs: Postgres, weir installed in a database, both daemons, and a marker by
// which to tell that the bridge is through with all that was committed before.

import { Cluster } from './cluster.js'
import { longPoll, readStream } from './stream.js'
import { until, final } from './wait.js'
import { Bridge, Server, runWeir } from './weir.js'
import { Workspace } from './workspace.js'

const MARKER_SQL = `
  CREATE TABLE public.test_marker (id int PRIMARY KEY, n bigint NOT NULL);
  INSERT INTO public.test_marker VALUES (1, 0);`
const MARKER_STREAM = 'test-marker/all/data'

/** Follows the marker row on one server. */
export class Marker {
  #offset = '-1'
  #seen = -1

  constructor(serverUrl) {
    this.serverUrl = serverUrl
  }

  /** Whether the marker's value n has come; waits for one long-poll at most. */
  async hasArrived(n) {
    const read = this.#offset === '-1' ? readStream : longPoll
    const { events, offset } = await read(this.serverUrl, MARKER_STREAM, this.#offset)
    this.#offset = offset
    for (const event of events) this.#seen = Number(JSON.parse(event.value).n)
    return this.#seen >= n
  }
}

export class Stack {
  #marks = 0

  /** schema: SQL of the application; tables: those to publish; rules: [{name, relation, audience,
   * …}]; cluster: settings of an own one, or a Cluster that is shared (shareCluster): what is made in it, `database` and
   * all, is dropped in the end. The bridge is not started. startServer: of another stream server than `weir serve`. */
  static async create(name, { schema, tables, rules, cluster = {}, database = 'app', slot, serverArgs, bridgeArgs, startServer = (workspace) => Server.start(workspace, { args: serverArgs }) }) {
    const stack = new Stack()
    stack.workspace = new Workspace(name)
    try {
      stack.database = database
      if (cluster instanceof Cluster) await stack.#share(cluster)
      else stack.cluster = await Cluster.start(stack.workspace, cluster)
      await stack.#administer(`CREATE DATABASE ${database}`)
      stack.db = await stack.connect()
      await stack.db.query(`${schema};${MARKER_SQL}`)
      await stack.#install(tables, rules)
      stack.server = await startServer(stack.workspace)
      stack.bridge = new Bridge(stack.workspace, { conninfo: stack.cluster.conninfo(database), streamsUrl: stack.server.streamsUrl, slot, args: bridgeArgs })
      stack.marker = new Marker(stack.server.url)
      return stack
    } catch (error) {
      await stack.workspace.close().catch(() => {})
      throw error
    }
  }

  /** Runs the statements on the side of the application, and returns the last one's rows. */
  async #administer(...statements) {
    const admin = await this.cluster.connect('postgres')
    try {
      let rows
      for (const text of statements) ({ rows } = await admin.query(text))
      return rows
    } finally {
      await admin.end()
    }
  }

  async #share(cluster) {
    this.cluster = cluster
    const roles = async () => (await this.#administer('SELECT quote_ident(rolname) AS name FROM pg_roles')).map(({ name }) => name)
    const before = await roles()
    this.workspace.onClose(async () => {
      const slots = `FROM pg_replication_slots WHERE database = '${this.database}'`
      await this.#administer(`SELECT pg_terminate_backend(active_pid) ${slots}`)
      await until('the slots to be free', async () => {
        await this.#administer(`SELECT pg_drop_replication_slot(slot_name) ${slots}`)
        return true
      })
      await this.#administer(`DROP DATABASE ${this.database} WITH (FORCE)`)
      const made = (await roles()).filter((role) => !before.includes(role))
      if (made.length > 0) await this.#administer(`DROP ROLE ${made.join(', ')}`)
    })
  }

  async #install(tables, rules) {
    const { code, output } = await runWeir(['install', '--db', this.cluster.conninfo(this.database)])
    if (code !== 0) throw new Error(`weir install ended with ${code}:\n${output}`)
    await this.db.query(`ALTER PUBLICATION weir ADD TABLE ${[...tables, 'public.test_marker'].join(', ')}`)
    for (const rule of rules) await insertRule(this.db, rule)
    await insertRule(this.db, { name: 'test marker', relation: 'test_marker', audience: `SELECT 'all'`, stream: 'test-marker/{subject}/data' })
  }

  async connect() {
    const client = await this.cluster.connect(this.database)
    await client.query(`SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET jit = off`)
    this.workspace.onClose(() => client.end())
    return client
  }

  /** Commits the next value of the marker and returns it; by an insert where markByInsert is set, for
   * publications without updates. */
  async mark() {
    const n = ++this.#marks
    await this.db.query(this.markByInsert ? 'INSERT INTO public.test_marker VALUES ($1 + 1, $1)' : 'UPDATE public.test_marker SET n = $1 WHERE id = 1', [n])
    return n
  }

  /** Waits until all that was committed before this call is in the streams. Daemons may be killed
   * and restarted meanwhile when isKilling is set. */
  async settle({ deadlineMs = 180_000 } = {}) {
    const n = await this.mark()
    await until(`marker ${n} to arrive`, () => this.#hasArrived(n), { deadlineMs }).catch((error) => {
      throw new Error(`${error.message}\nbridge:\n${this.bridge.log()}\nserver:\n${this.server.log()}`)
    })
  }

  /** Drops the bridge's slot, which a bridge that has ended holds until its walsender notices. */
  async dropSlot() {
    await until('the slot to be free', async () => {
      await this.db.query('SELECT pg_drop_replication_slot($1)', [this.bridge.slot])
      return true
    })
  }

  async #hasArrived(n) {
    if (this.bridge.child && !this.bridge.isRunning() && !this.isKilling) throw final('weir bridge has ended')
    return this.marker.hasArrived(n)
  }

  async close() {
    await this.workspace.close()
  }
}

export async function insertRule(db, { name, relation, audience, columns = null, type = null, stream = null }) {
  await db.query(
    `INSERT INTO weir.rules (name, relation, audience, columns, type, stream)
     VALUES ($1, $2::regclass, $3, $4::name[], $5, coalesce($6, 'user/{subject}/data'))`,
    [name, relation, audience, columns, type, stream],
  )
}
