// weir_load, the load generator (bench/load), run against one target.

import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { weirProgram } from '../tests/e2e/lib/weir.js'

function program() {
  const path = join(dirname(weirProgram()), 'weir_load')
  if (!existsSync(path)) throw new Error(`no weir_load at ${path}: build it beside weir`)
  return path
}

const argumentsOf = (target, command, options) => [
  command, '--port', String(target.port), '--server-pid', String(target.pid),
  ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
]

/** What the command says of its run. */
export async function load(target, command, options) {
  const { stdout } = await promisify(execFile)(program(), argumentsOf(target, command, options))
  return JSON.parse(stdout)
}

/** Opens readers by SSE that stay; resolves to how to end them. */
export async function holdReaders(target, options) {
  const child = spawn(program(), argumentsOf(target, 'idle', options), { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => child.on('exit', resolve))
  const first = await Promise.race([createInterface(child.stdout)[Symbol.asyncIterator]().next(), ended])
  if (first?.value === undefined) throw new Error('the readers were not all opened')
  return async () => {
    child.stdin.end()
    await ended
  }
}
