// One suite's own folder, ports and processes; everything is gone when the suite ends.

import { mkdtempSync, chmodSync, rmSync, readFileSync, existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class Workspace {
  #closers = []

  constructor(name) {
    this.dir = mkdtempSync(join(tmpdir(), `weir-${name}-`))
    chmodSync(this.dir, 0o755) // the postgres user has to pass through
  }

  path(...parts) {
    return join(this.dir, ...parts)
  }

  /** Has `close` called at the end, last one first. */
  onClose(close) {
    this.#closers.push(close)
  }

  /** The last lines of a log in the folder, for a failure's message. */
  tail(file, lines = 20) {
    const path = this.path(file)
    if (!existsSync(path)) return ''
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  }

  async close() {
    const failures = []
    while (this.#closers.length > 0) {
      try {
        await this.#closers.pop()()
      } catch (error) {
        failures.push(error)
      }
    }
    if (process.env.WEIR_KEEP) console.error(`kept: ${this.dir}`)
    else rmSync(this.dir, { recursive: true, force: true })
    if (failures.length > 0) throw failures[0]
  }
}

/** A loopback port that was free a moment ago. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
