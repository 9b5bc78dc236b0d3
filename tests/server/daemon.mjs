// A `weir serve` in a folder of its own, for tests.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

export const weir = process.env.WEIR_BIN

export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}

// Runs weir to its end; what it wrote on standard error.
export async function runWeir(...options) {
  const child = spawn(weir, options, { stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  child.stderr.on('data', (chunk) => (text += chunk))
  const [code] = await once(child, 'close')
  return { code, text }
}

// What a test that failed has left behind would keep this process from ending.
const running = new Set()
after(() => Promise.all([...running].map((daemon) => daemon.remove())))

export class Daemon {
  options = []
  prefix = [] // a command that runs it
  count = 0 // of streams that it has made up names for

  static async make(...options) {
    const daemon = new Daemon()
    await daemon.makeFolder()
    daemon.options = options
    await daemon.start()
    return daemon
  }

  // The path of a file in it.
  async makeFolder(name = '') {
    this.folder = await mkdtemp(join(tmpdir(), 'weir-daemon-'))
    this.data = join(this.folder, 'data')
    return join(this.folder, name)
  }

  async start() {
    this.port = await freePort()
    this.url = `http://127.0.0.1:${this.port}`
    const [command, ...rest] = [...this.prefix, weir]
    this.child = spawn(
      command,
      [...rest, 'serve', '--listen', `127.0.0.1:${this.port}`, '--data', this.data, '--auth', 'none',
        '--log-level', 'warn', ...this.options],
      { stdio: 'inherit' },
    )
    running.add(this)
    this.ended = once(this.child, 'exit')
    while (!(await this.isReady())) {
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error('weir serve has ended')
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async isReady() {
    try {
      return (await fetch(`${this.url}/readyz`)).ok
    } catch {
      return false
    }
  }

  stream(path, query = '') {
    return `${this.url}/v1/stream/${path}${query}`
  }

  async put(path, headers = {}, body = undefined) {
    return fetch(this.stream(path), { method: 'PUT', headers, body })
  }

  // The path of a new stream.
  async made(headers, body = undefined) {
    const path = `made/${++this.count}`
    assert.equal((await this.put(path, headers, body)).status, 201)
    return path
  }

  async post(path, body, headers = {}) {
    return fetch(this.stream(path), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    })
  }

  async kill() {
    this.child.kill('SIGKILL')
    await this.ended
  }

  // The exit code.
  async stop() {
    this.child.kill('SIGTERM')
    return (await this.ended)[0]
  }

  async remove() {
    running.delete(this)
    if (this.child?.exitCode === null && this.child.signalCode === null) await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}
