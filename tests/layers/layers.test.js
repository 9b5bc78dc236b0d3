// The source tree keeps to the layers, and the check itself sees what it should.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { violations } from './layers.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

test('the sources include downward only', () => {
  assert.deepEqual(violations(ROOT), [])
})

const planted = mkdtempSync(join(tmpdir(), 'weir-layers-'))
after(() => rmSync(planted, { recursive: true }))
let count = 0

/** The violations of a tree that has one file of text beside an innocent one. */
function plant(path, text, cmake = 'weir_layer(base Threads::Threads)\n') {
  const root = join(planted, String(count++))
  const files = {
    'src/CMakeLists.txt': cmake,
    'src/base/innocent.c': '#include "weir/base/innocent.h"\n#include <stdio.h>\n',
    'include/weir/base/innocent.h': '#pragma once\n',
    [path]: text,
  }
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), content)
  }
  return violations(root)
}

const WRONG = [
  ['a layer above', 'src/base/log.c', '#include "weir/store/store.h"', /base may not include store/],
  ['a layer above, from a public header', 'include/weir/replica/row.h', '#include "weir/rules/ruleset.h"', /replica may not include rules/],
  ['a layer on the same level', 'src/store/read.c', '#include "weir/replica/key.h"', /store may not include replica/],
  ['the other daemon', 'src/bridge/follow.c', '#include "weir/store/store.h"', /bridge may not include store/],
  ['the other daemon, the other way', 'src/server/read.c', '  #  include "weir/publish/batch.h"', /server may not include publish/],
  ['a library of another layer', 'src/bridge/slot.c', '#include <libpq-fe.h>', /libpq belongs to postgres/],
  ['a library below a folder', 'src/server/post.c', '#include <curl/curl.h>', /libcurl belongs to http/],
  ['the store of another layer', 'src/server/read.c', '#include <lmdb.h>', /LMDB belongs to replica and store/],
  ['the HTTP library outside the server', 'src/cli/serve.c', '#include <microhttpd.h>', /libmicrohttpd belongs to server/],
  ['the parser outside the rules', 'src/events/x.c', '#include <pg_query.h>', /libpg_query belongs to rules/],
  ['a JSON DOM near row data', 'src/wal2json/decode.c', '#include <jansson.h>', /jansson belongs to/],
  ['a library in a public header', 'include/weir/store/store.h', '#include <lmdb.h>', /LMDB must not show/],
  ['an unknown library', 'src/base/x.c', '#include <glib.h>', /neither libc nor/],
  ['a path around include/', 'src/rules/x.c', '#include "../replica/decimal.h"', /through weir\/LAYER\//],
  ['a private header of another layer', 'src/rules/x.c', '#include "decimal.h"', /no such header/],
  ['a folder that is no layer', 'src/util/x.c', '', /not a layer/],
]

for (const [name, path, text, expected] of WRONG)
  test(`sees ${name}`, () => {
    const found = plant(path, `/* ${name} */\n${text}\n`)
    assert.equal(found.length, 1, found.join('\n'))
    assert.match(found[0], expected)
  })

test('sees a link that CMake must not make', () => {
  const found = plant('src/store/x.c', '', 'weir_layer(base Threads::Threads)\nweir_layer(store weir_base weir_server)\n')
  assert.deepEqual(found, ['src/CMakeLists.txt: weir_server: store may not link server'])
})

test('lets pass what is allowed', () => {
  assert.deepEqual(plant('src/rules/parse.c', '#include "weir/replica/row.h"\n#include <pg_query.h>\n#include <sys/stat.h>\n'), [])
})
