// docs/troubleshooting.md: each heading is a message that the sources have, and the messages of doctor
// and of a start have a heading.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (name) => readFileSync(join(ROOT, name), 'utf8')
const headings = [...read('docs/troubleshooting.md').matchAll(/^### `(.*)`$/gm)].map(([, text]) => text)

/** String literals, neighbours joined, with … for what printf() and format() put in; of SQL, the texts
 * that it holds. */
function literalsOf(source) {
  const code = source
    .replaceAll(`'"'`, ' ')
    .replace(/\\\n/g, '\n')
    .replace(/("(?:[^"\\\n]|\\.)*")|\/\*[^]*?\*\//g, (_, literal) => literal ?? ' ')
    .replace(/"\s+[A-Z]\w+\s+"/g, '%s') // a macro between two literals
  const joined = [...code.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*/g)].map(([literal]) => literal.replace(/"\s*"/g, '').slice(1, -1).replaceAll('\\"', '"'))
  const inSql = joined.flatMap((text) => [...text.replace(/' +\|\| (?:[^'|]|'[^']*')*? +\|\| '/g, '…').matchAll(/'((?:[^']|'')*)'/g)].map(([, inner]) => inner))
  return [...joined, ...inSql].map(normal)
}

const normal = (text) => text.replace(/"?%(?:\.\*)?(?:zu|ll[du]|ld|[a-zA-Z])"?(?:\.%(?:\.\*)?[a-zA-Z])?/g, '…').replace(/…+/g, '…')
const pattern = (heading) => new RegExp(`^${heading.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`)
const sources = ['src', 'include'].flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true }).map((name) => join(folder, name))).filter((name) => /\.[ch]$/.test(name))

test('each heading is a message of the program', () => {
  assert.ok(headings.length > 60)
  assert.equal(new Set(headings).size, headings.length)
  const messages = sources.flatMap((name) => literalsOf(read(name)))
  const dead = headings.filter((heading) => !messages.some((message) => pattern(heading).test(message) && message.replaceAll('…', '').length > 5))
  assert.deepEqual(dead, [])
})

/** What err_set() and its like are called with in a file. */
function messagesOf(name) {
  const calls = [...read(name).matchAll(/\b(?:err_set|err_set_errno|want_new_slot)\(([^;]*);/g)].map(([, call]) => literalsOf(call)[0])
  return calls.filter((message) => message && message.replaceAll(/[…: ]/g, '') !== '')
}

test('what doctor finds, and what keeps a daemon from starting, has a heading', () => {
  const files = ['src/doctor/doctor.c', 'src/bridge/examine.c', 'src/bridge/checks.c', 'src/bridge/catalog.c', 'src/postgres/slot.c', 'src/postgres/session.c', 'src/server/tls.c', 'src/server/access.c', 'src/server/server.c', 'src/publish/answer.c']
  // Of the machine, or of options whose message says all there is to say.
  const leftOut = [/^epoll$/, /^cannot set up the loop$/, /^the HTTP library does not start$/, /^--public-url /, /^--listen …: …$/, /unexpected answer$/, /has changed while it was looked at$/, /^the replication slot is gone$/]
  const found = files.flatMap((name) => messagesOf(name).map((message) => ({ name, message })))
  assert.ok(found.length > 40)
  const fine = new Set([...read('src/doctor/question.c').matchAll(/^ {4}\{"\w+", "([^"]+)"/gm)].map(([, text]) => text))
  const questions = literalsOf(read('src/doctor/question.c')).filter((text) => / /.test(text) && !fine.has(text) && /^(role|publication|table|slot|schema|database|Postgres|PostgreSQL|all|max_slot)\b/.test(text)).map((message) => ({ name: 'src/doctor/question.c', message }))
  const missing = [...found, ...questions].filter(({ message }) => !leftOut.some((one) => one.test(message)) && !headings.some((heading) => pattern(heading).test(message)))
  assert.deepEqual(missing, [])
})
