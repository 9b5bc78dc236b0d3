// One rule whose text stays as it is while what its names mean changes under it: a bridge that looks at the
// catalog often, and what must come to be.

import assert from 'node:assert/strict'
import { Oracle } from './oracle.js'
import { Stack } from './stack.js'
import { userStream } from './stream.js'
import { verifyFolds } from './verify.js'
import { until } from './wait.js'

const READERS = ['ana', 'bo', 'cem'].map(userStream)

/** cluster, schema, tables: see Stack.create; rule: {relation, audience}; interval: between two looks at the catalog; searchPath: that of Postgres's answers, as the rule's names are looked up.
 * act gets the stack and becomes(reason): waits until the rule is active, or refused for the reason, and
 * every stream what Postgres says. */
export async function ruleScene(name, { cluster, schema, tables, rule, searchPath = 'public', interval = '100ms' }, act) {
  const stack = await Stack.create(name, { cluster, schema, tables, rules: [{ name: 'the rule', ...rule }], bridgeArgs: ['--catalog-interval', interval] })
  const becomes = async (reason) => {
    const expected = reason ? new Map() : await new Oracle(stack.db).state()
    await until(`the rule to be ${reason ?? 'active'}`, async () => {
      const { rows } = await stack.db.query(`SELECT state, reason FROM weir.rule_status WHERE name = 'the rule'`)
      assert.equal(rows[0].state, reason ? 'refused' : 'active')
      if (reason) assert.match(rows[0].reason, reason)
      await verifyFolds(stack.server.url, expected, READERS)
      return true
    })
  }
  try {
    await stack.db.query(`SET search_path = ${searchPath}`)
    stack.bridge.start()
    await stack.settle()
    await act(stack, becomes)
  } catch (error) {
    error.message += `\nbridge:\n${stack.bridge.log(40)}`
    throw error
  } finally {
    await stack.close()
  }
}
