// docs/configuration.md is what the program says of itself, and links lead somewhere.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WEIR = process.env.WEIR_BIN ?? join(ROOT, 'build/release/weir')

test('docs/configuration.md is up to date', () => {
  const made = execFileSync(WEIR, ['--markdown'], { encoding: 'utf8' })
  const there = readFileSync(join(ROOT, 'docs/configuration.md'), 'utf8')
  assert.equal(there, made, 'make it again: build/release/weir --markdown >docs/configuration.md')
})

/** The project's pages: those at its top, and all below docs and examples. */
function pages() {
  const below = ['docs', 'examples'].flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true }).map((name) => join(folder, name)))
  return [...readdirSync(ROOT), ...below].filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
}

/** Where a page's links lead that stay in the tree, and those of its `paths` in backticks that
 * begin with a folder of the project. */
function targetsOf(page) {
  const text = readFileSync(join(ROOT, page), 'utf8')
  const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target]) => target)
  const local = links.filter((target) => !/^[a-z]+:/.test(target)).map((target) => join(dirname(page), target))
  const paths = [...text.matchAll(/`((?:scripts|examples|docs|src|include|sql|tests|bench)\/[\w./-]+)`/g)].map(([, path]) => path)
  return [...local, ...paths]
}

/** Pages that the program's own sources name, some of them in what it prints. */
function pagesNamedInSources() {
  const files = ['src', 'include', 'sql'].flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true }).map((name) => join(folder, name)))
  return files
    .filter((name) => /\.(c|h|sql)$/.test(name))
    .flatMap((name) => [...readFileSync(join(ROOT, name), 'utf8').matchAll(/\bdocs\/[\w-]+\.md\b/g)].map(([page]) => `${name}: ${page}`))
}

test('sources name only pages that are there', () => {
  const named = pagesNamedInSources()
  assert.ok(named.length > 0)
  assert.deepEqual(named.filter((line) => !existsSync(join(ROOT, line.split(': ')[1]))), [])
})

test('pages speak only of files that are there', () => {
  const dead = pages().flatMap((page) =>
    targetsOf(page).filter((target) => !existsSync(join(ROOT, target))).map((target) => `${page}: ${target}`),
  )
  assert.ok(pages().includes('README.md'))
  assert.deepEqual(dead, [])
})
