// Child processes, ended by their pid.

import { spawn } from 'node:child_process'
import { openSync, closeSync } from 'node:fs'
import { within } from './wait.js'

const STOP_DEADLINE_MS = 60_000

export class Child {
  #exit

  /** Starts a program with its output in `logFile`. options: cwd, env. */
  constructor(program, args, { logFile, ...options }) {
    const log = openSync(logFile, 'a')
    this.process = spawn(program, args, { ...options, stdio: ['ignore', log, log] })
    closeSync(log)
    this.#exit = new Promise((resolve) => {
      this.process.on('error', (error) => resolve({ code: -1, error }))
      this.process.on('exit', (code, signal) => resolve({ code, signal }))
    })
  }

  get pid() {
    return this.process.pid
  }

  isRunning() {
    return this.process.pid !== undefined && this.process.exitCode === null && this.process.signalCode === null
  }

  /** {code, signal} once it has ended. */
  exited(deadlineMs = STOP_DEADLINE_MS) {
    return within(deadlineMs, `the end of process ${this.pid}`, this.#exit)
  }

  async signal(name) {
    if (this.isRunning()) this.process.kill(name)
    return this.exited()
  }

  /** Asks it to end; what does not is killed and reported. */
  async stop() {
    if (!this.isRunning()) return this.exited()
    this.process.kill('SIGTERM')
    try {
      return await this.exited()
    } catch (error) {
      this.process.kill('SIGKILL')
      await this.exited()
      throw error
    }
  }
}
