// Every message of doctor's has been provoked, and what it prints mended it. The messages are those of
// the sources that doctor runs through, so that a new one without a test is missed here. After the other
// suites, which leave what they have provoked in WEIR_PROVOKED.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test, { before } from 'node:test'
import { templatesOfC, templatesOfSql } from './templates.js'

const source = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

const SQL = ['src/doctor/question.c', 'include/weir/postgres/replication.h']
const C = ['doctor/doctor.c', 'bridge/examine.c', 'bridge/catalog.c', 'bridge/checks.c', 'postgres/slot.c', 'postgres/session.c', 'publish/answer.c', 'publish/publisher.c',
  'publish/standard_trial.c', 'replica/replica.c', 'base/file.c'].map((path) => `src/${path}`)

/** Messages in those files to which doctor does not come, each with the reason. */
const ELSEWHERE = {
  // The bridge's, once it runs.
  '%s, and a server of the standard dialect cannot be compared with': 'the bridge decides so when it starts',
  'behind the address of Postgres there is another server than a moment ago': 'the bridge, between two connections',
  'table %.*s.%.*s has changed while it was looked at': 'within two queries of one snapshot',
  'replication slot "%s" is in use%s%s': 'of the bridge’s slot; doctor’s own is temporary and nobody else’s',
  'replication slot "%s" is lost: Postgres has removed WAL that it needed': 'of the bridge’s slot; question "slot" says it',
  'CREATE_REPLICATION_SLOT: unexpected answer': 'no Postgres answers so',
  '%s: the stream server has producer "%s" at %s, but this batch begins at %s (step %llu)': 'the answer to a batch',
  '%s: another bridge has taken producer "%s" over (epoch %lld)': 'the answer to a batch',
  'cannot sync the folder %s': 'when files are written',
  // The state folder is opened where replica.mdb is there already.
  'cannot create the state folder %s': 'doctor opens one that is there',
  'the state folder %s is in use by another bridge': 'a bridge is running, which is no fault',
  'replica %s: the index definitions are damaged': 'bytes that LMDB takes for good and are not ours: tests/faults/damage',
}

const pattern = (template) => new RegExp(`^${template.split(/%(?:\.\*|l+|z)?[a-zA-Z]/).map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}`, 's')
/** Of "%s: %s" nothing can be said. */
const saysSomething = (template) => template.replace(/%(?:\.\*|l+|z)?[a-zA-Z]/g, '').replace(/[^a-z]/gi, '').length >= 8

const templates = [...new Set([...SQL.flatMap((path) => templatesOfSql(source(path))), ...C.flatMap((path) => templatesOfC(source(path)))])].filter(saysSomething)
let provoked = []
let impossible = {}

before(() => {
  const folder = process.env.WEIR_PROVOKED
  const suites = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')))
  assert.deepEqual(readdirSync(folder).sort(), ['daemons.json', 'database.json', 'server.json'])
  provoked = suites.flatMap((suite) => suite.provoked)
  impossible = Object.assign({}, ...suites.map((suite) => suite.impossible))
})

test('the list of messages is one, and what is left out of it is in it', () => {
  assert.ok(templates.length > 50, `${templates.length} messages`)
  assert.deepEqual(Object.keys(ELSEWHERE).filter((template) => !templates.includes(template)), [], 'gone from the sources')
})

test('every message has been provoked on a real Postgres, and mended by what it prints', (t) => {
  const isElsewhere = (template) => template in ELSEWHERE || Object.keys(impossible).some((start) => template.startsWith(start))
  const expected = templates.filter((template) => !isElsewhere(template))
  const mended = provoked.filter((finding) => finding.isMended)
  const missing = expected.filter((template) => !mended.some(({ message }) => pattern(template).test(message)))
  for (const [message, why] of Object.entries(impossible)) t.diagnostic(`not provoked: "${message}": ${why}`)
  t.diagnostic(`${expected.length} messages, provoked and mended ${mended.length} times`)
  assert.deepEqual(missing, [])
})

test('and what was provoked is in the list', () => {
  const own = templates.map(pattern)
  // curl's words, and an answer's status, behind the URL; LMDB's, behind the folder.
  // Why a rule or a row filter is refused is the business of src/rules.
  const foreign = [/^the publication's row filter of \S+ cannot be followed: /, /^https?:\S+: .*(connect|SSL)/i, /^https?:\S+ answered \d+/, /^replica \S+: /]
  const unknown = provoked.filter(({ message }) => ![...own, ...foreign].some((known) => known.test(message)))
  assert.deepEqual(unknown.map(({ message }) => message), [])
})
