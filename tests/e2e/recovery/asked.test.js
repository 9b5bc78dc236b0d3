// What had been delivered when a bridge was killed comes again from the slot, and some values Postgres was asked about:
// those of types with a cast to json of their own, and with wal2json 2.5 NaN and the infinities. By then the type or the
// table may be another, or the row have another value. The bridge goes on, and the stream is what Postgres says.

import test, { after, before } from 'node:test'
import { Cluster } from '../lib/cluster.js'
import { Oracle } from '../lib/oracle.js'
import { Stack } from '../lib/stack.js'
import { verifyFolds } from '../lib/verify.js'
import { until } from '../lib/wait.js'
import { Workspace } from '../lib/workspace.js'

const SCHEMA = `CREATE EXTENSION hstore; CREATE SCHEMA other;
  CREATE TABLE notes (id int PRIMARY KEY, owner text, tags hstore, n float8 NOT NULL DEFAULT 0)`
const RULE = { name: 'own', relation: 'notes', audience: 'SELECT owner', type: 'notes' }
const TAGGED = `INSERT INTO notes VALUES (1, 'ana', 'a=>1')`
const NEGATIVE = `INSERT INTO notes VALUES (1, 'ana', NULL, '-Infinity')`
const READ_BY_RULE = 'SELECT owner WHERE n < 100'
const READ_BY_JOIN = 'SELECT x.owner FROM notes x WHERE x.id = notes.id AND x.n < 100'
const INFINITE = `INSERT INTO notes VALUES (1, 'ana', NULL, 'Infinity')`

// [what is delivered, what is altered while no bridge runs, the rule]
const CASES = {
  'a type that has another name': [TAGGED, 'ALTER TYPE hstore RENAME TO labels'],
  'a type that is in another schema': [TAGGED, 'ALTER EXTENSION hstore SET SCHEMA other'],
  'a type that is gone': [TAGGED, 'DROP EXTENSION hstore CASCADE'],
  'a table that has another name': [INFINITE, 'ALTER TABLE notes RENAME TO memos'],
  'a table that is gone': [INFINITE, 'DROP TABLE notes'],
  'a column that is gone': [INFINITE, 'ALTER TABLE notes DROP COLUMN n'],
  'a row that is NaN by now': [INFINITE, `UPDATE notes SET n = 'NaN'`],
  'a row that is finite by now': [INFINITE, 'UPDATE notes SET n = 1'],
  'a row that is as it was, and comes to another reader': [INFINITE, `INSERT INTO notes VALUES (2, 'bo'); UPDATE notes SET owner = 'bo'`],
  'a row that a rule showed for it, and that is not shown any more': [NEGATIVE, 'UPDATE notes SET n = 1000', READ_BY_RULE],
  'the same, by a join': [NEGATIVE, `UPDATE notes SET n = 'NaN'`, READ_BY_JOIN],
  'the same, and it is gone': [NEGATIVE, 'DELETE FROM notes', READ_BY_RULE],
}

let workspace, cluster
before(async () => {
  workspace = new Workspace('asked')
  cluster = await Cluster.start(workspace)
})
after(() => workspace.close())

for (const [what, [delivered, altered, audience = RULE.audience]] of Object.entries(CASES)) {
  test(what, async () => {
    const stack = await Stack.create('asked', { cluster, schema: SCHEMA, tables: ['notes'], rules: [{ ...RULE, audience }], bridgeArgs: ['--checkpoint-interval', '1h'] })
    try {
      stack.bridge.start()
      await stack.settle()
      await stack.db.query(delivered)
      await stack.settle()
      await stack.bridge.kill()
      await stack.db.query(altered)
      stack.bridge.start()
      await stack.settle()
      const expected = await new Oracle(stack.db).state()
      await until('the streams to be what Postgres says', async () => {
        await verifyFolds(stack.server.url, expected, ['user/ana/data', 'user/bo/data'])
        return true
      })
    } catch (error) {
      error.message += `\nbridge:\n${stack.bridge.log(20)}`
      throw error
    } finally {
      await stack.close()
    }
  })
}
