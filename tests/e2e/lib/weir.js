// The two daemons under test, started, killed and asked about.

import { existsSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Child } from './process.js'
import { request } from './raw_http.js'
import { until } from './wait.js'
import { freePort } from './workspace.js'

/** The program: WEIR_BIN, which ctest sets, else the release preset's. */
export function weirProgram() {
  const path = process.env.WEIR_BIN ?? fileURLToPath(new URL('../../../build/release/weir', import.meta.url))
  if (!existsSync(path)) throw new Error(`no weir at ${path}: build it, or name it in WEIR_BIN`)
  return path
}

/** Runs one weir command to its end: {code, output} with both outputs together. */
export function runWeir(args, { deadlineMs = 60_000 } = {}) {
  return new Promise((resolve) => {
    execFile(weirProgram(), args, { timeout: deadlineMs, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal) : 0, output: stdout + stderr })
    })
  })
}

class Daemon {
  constructor(workspace, name) {
    this.workspace = workspace
    this.logName = `${name}.log`
    this.environment = {} // of the next start, beside this process's own
    workspace.onClose(() => this.stop())
  }

  launch(args) {
    this.child = new Child(weirProgram(), args, { logFile: this.workspace.path(this.logName), env: { ...process.env, ...this.environment } })
  }

  isRunning() {
    return this.child !== undefined && this.child.isRunning()
  }

  /** kill -9, and its end. */
  async kill() {
    return this.child.signal('SIGKILL')
  }

  /** SIGTERM; a daemon then ends with 0. */
  async stop() {
    if (!this.isRunning()) return
    const { code, signal } = await this.child.stop()
    if (code !== 0) throw new Error(`${this.logName}: ended with ${code ?? signal} on SIGTERM\n${this.log()}`)
  }

  log(lines = 20) {
    return this.workspace.tail(this.logName, lines)
  }

  /** A function that gives what it logs from now on. */
  listen() {
    const before = this.log(Infinity).length
    return () => this.log(Infinity).slice(before)
  }
}

export class Server extends Daemon {
  static async start(workspace, { name = 'serve', args = [] } = {}) {
    const server = new Server(workspace, name)
    server.port = await freePort()
    server.url = `http://127.0.0.1:${server.port}`
    server.streamsUrl = `${server.url}/v1/stream`
    server.dataDir = workspace.path(`${name}-data`)
    server.extra = args
    await server.restart()
    return server
  }

  command() {
    return ['serve', '--listen', `127.0.0.1:${this.port}`, '--data', this.dataDir, '--auth', 'none', '--long-poll-timeout', '2s', ...this.extra]
  }

  async restart() {
    this.launch(this.command())
    await until('weir serve to answer', async () => {
      if (!this.isRunning()) throw Object.assign(new Error(`weir serve ended:\n${this.log()}`), { isFinal: true })
      return (await request(this.url, '/healthz')).status === 200
    })
  }
}

export class Bridge extends Daemon {
  constructor(workspace, { conninfo, streamsUrl, name = 'bridge', slot = 'weir', args = [] }) {
    super(workspace, name)
    this.slot = slot
    this.stateDir = workspace.path(`${name}-state`)
    this.args = ['bridge', '--db', conninfo, '--streams', streamsUrl, '--state', this.stateDir, '--slot', slot, ...args]
  }

  start() {
    this.launch(this.args)
  }
}
