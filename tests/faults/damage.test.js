// Damage on the disk of a server that was stopped: a flipped bit. It is found and named, or
// it changes nothing; nobody is ever shown what nobody wrote. WEIR_SEED repeats a run.

import assert from 'node:assert/strict'
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { Random, seedFromEnvironment } from '../e2e/lib/random.js'
import { request } from '../e2e/lib/raw_http.js'
import { Server } from '../e2e/lib/weir.js'
import { within } from '../e2e/lib/wait.js'
import { Workspace } from '../e2e/lib/workspace.js'
import { flip } from './lib/flip.js'

const LONG = process.env.WEIR_LONG === '1'
const seed = seedFromEnvironment()
console.log(`WEIR_SEED=${seed}`)
const PATHS = Array.from({ length: 12 }, (_, i) => `/v1/stream/damage/${i}`)

const post = (server, path, body) => request(server.url, path, { method: 'POST', body, headers: { 'content-type': 'text/plain' } })

async function write(server, random, count) {
  for (let i = 0; i < count; i++) {
    const answer = await post(server, random.pick(PATHS), `<${i} ${random.noise(random.between(1, 3000))}>`)
    assert.equal(answer.status, 204)
  }
}

/** What every stream holds, each read in pages; throws when the server does not answer. */
async function readAll(server) {
  const contents = new Map()
  for (const path of PATHS) {
    let text = '', offset = '-1'
    for (;;) {
      const answer = await request(server.url, `${path}?offset=${offset}`)
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`)
      text += answer.body
      offset = answer.headers['stream-next-offset']
      if (answer.headers['stream-up-to-date'] === 'true') break
    }
    contents.set(path, text)
  }
  return contents
}

/** A folder with a catalog and a log behind it, as a kill leaves it. */
async function prepare(workspace, random) {
  const server = await Server.start(workspace, { args: ['--checkpoint-interval', '200ms'] })
  for (const path of PATHS) await request(server.url, path, { method: 'PUT', headers: { 'content-type': 'text/plain' } })
  await write(server, random, 150)
  await server.stop()
  server.extra = []
  await server.restart()
  await write(server, random, 40)
  const contents = await readAll(server)
  await server.kill()
  return { server, contents, kept: `${server.dataDir}.kept` }
}

const filesOf = (folder) => [join(folder, 'catalog.mdb'), ...readdirSync(join(folder, 'log')).map((name) => join(folder, 'log', name))]

/** Starts the server on a changed copy: 'unharmed', 'refused' or 'stopped'; wrong data is a failure. */
async function judge({ server, contents }, what) {
  let answer
  const before = server.log(1000).length
  try {
    await server.restart()
    answer = await readAll(server)
  } catch {
    const { code, signal } = await within(60_000, 'the end', server.child.exited())
    const log = server.log(1000).slice(before)
    assert.ok(signal === 'SIGABRT' || code === 1 || signal === 'SIGBUS' || signal === 'SIGSEGV', `${what}: ended with ${code ?? signal}\n${log}`)
    if (signal === 'SIGSEGV' || signal === 'SIGBUS') return 'crashed'
    assert.match(log, /damaged|check failed|cannot|assert/i, `${what}: ended without a reason\n${log}`)
    return code === 1 ? 'refused' : 'stopped'
  }
  const wrong = [...contents].filter(([path, text]) => answer.get(path) !== text)
  await server.kill()
  if (wrong.length === 0) return 'unharmed'
  // The very last frame, which cannot be told from one that was torn: it held one append.
  const [[path, text]] = wrong
  assert.match(server.log(1000).slice(before), /a torn frame at the end of the commit log is cut off/, `${what}: ${path} is wrong`)
  assert.ok(wrong.length === 1 && answer.get(path) === text.slice(0, text.lastIndexOf('<')), `${what}: ${path} is wrong`)
  return 'cut off'
}

/** Somewhere in what is used of a file, mostly. */
function place(file, random) {
  const size = Math.min(statSync(file).size, statSync(file).blocks * 512)
  return random.below(file.endsWith('.log') ? Math.min(size, 100_000) : size)
}

test('a flipped bit is found, or changes nothing', async () => {
  const workspace = new Workspace('damage')
  const random = new Random(seed)
  try {
    const world = await prepare(workspace, random)
    cpSync(world.server.dataDir, world.kept, { recursive: true })
    const outcomes = {}
    for (let i = 0; i < (LONG ? 600 : 30); i++) {
      rmSync(world.server.dataDir, { recursive: true })
      cpSync(world.kept, world.server.dataDir, { recursive: true })
      const file = random.pick(filesOf(world.server.dataDir))
      const at = place(file, random), bit = random.below(8)
      flip(file, at, bit)
      const kind = file.endsWith('.log') ? 'log' : 'catalog'
      const outcome = `${kind} ${await judge(world, `${file} byte ${at} bit ${bit}`)}`
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
    console.log(JSON.stringify(outcomes))
    assert.ok(Object.keys(outcomes).some((outcome) => !outcome.includes('unharmed')), 'no flip was noticed')
  } catch (error) {
    error.message += `\nWEIR_SEED=${seed}`
    throw error
  } finally {
    await workspace.close()
  }
})
