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
const C = [['doctor', /./], ['bridge', /^(examine|checks|catalog\w*)\./], ['postgres', /^(slot|session)\./], ['publish', /^(answer|publisher|standard_trial)\./], ['replica', /^(replica|index|meta)\./], ['base', /^file\./]]
  .flatMap(([folder, names]) => readdirSync(new URL(`../../src/${folder}/`, import.meta.url)).filter((name) => name.endsWith('.c') && names.test(name)).map((name) => `src/${folder}/${name}`))

/** Messages in those files to which doctor does not come, each with the reason. */
const ELSEWHERE = {
  // The bridge's, once it runs.
  '…, and a server of the standard dialect cannot be compared with': 'the bridge decides so when it starts',
  'behind the address of Postgres there is another server than a moment ago': 'the bridge, between two connections',
  'table ….… has changed while it was looked at': 'within two queries of one snapshot',
  'replication slot "…" is in use……': 'of the bridge’s slot; doctor’s own is temporary and nobody else’s',
  'replication slot "…" is lost: Postgres has removed WAL that it needed': 'of the bridge’s slot; question "slot" says it',
  'CREATE_REPLICATION_SLOT: unexpected answer': 'no Postgres answers so',
  '…: the stream server has producer "…" at …, but this batch begins at … (step …)': 'the answer to a batch',
  '…: another bridge has taken producer "…" over (epoch …)': 'the answer to a batch',
  'cannot sync the folder …': 'when files are written',
  // The state folder is opened where replica.mdb is there already.
  'cannot create the state folder …': 'doctor opens one that is there',
  'the state folder … is in use by another bridge': 'a bridge is running, which is no fault',
  '…/replica.mdb is damaged: the index definitions': 'a record that is not ours, though its checksum is right',
  'the replica\'s catalog is damaged': 'likewise; the bridge reads it when it starts',
}

const FORMAT = /%(?:\.\*|l+|z)?[a-zA-Z]/g
const pattern = (template) => new RegExp(`^${template.split('…').map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}`, 's')
/** Of "…: …" nothing can be said. */
const saysSomething = (template) => template.replace(/[^a-z]/gi, '').length >= 8

const found = [...SQL.flatMap((path) => templatesOfSql(source(path))), ...C.flatMap((path) => templatesOfC(source(path)))]
const templates = [...new Set(found.map((template) => template.replace(FORMAT, '…')))].filter(saysSomething)
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
