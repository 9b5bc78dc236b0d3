// The reference server of the protocol, as a program beside the bridge: in memory, or with its file
// store in the suite's folder.

import { fileURLToPath } from 'node:url'
import { canonical } from './json.js'
import { Child } from './process.js'
import { request } from './raw_http.js'
import { final, until } from './wait.js'
import { freePort } from './workspace.js'

const PROGRAM = fileURLToPath(new URL('reference_server_program.js', import.meta.url))

export class ReferenceServer {
  static async start(workspace, { files = false } = {}) {
    const server = new ReferenceServer()
    server.workspace = workspace
    server.port = await freePort()
    server.url = `http://127.0.0.1:${server.port}`
    server.streamsUrl = `${server.url}/v1/stream`
    server.dataDir = files ? workspace.path('reference-data') : undefined
    workspace.onClose(() => server.child.stop())
    await server.restart()
    return server
  }

  async restart() {
    const args = [PROGRAM, String(this.port), ...(this.dataDir ? [this.dataDir] : [])]
    this.child = new Child(process.execPath, args, { logFile: this.workspace.path('reference.log') })
    await until('the reference server to answer', async () => {
      if (!this.child.isRunning()) throw final(`the reference server ended:\n${this.log()}`)
      return (await request(this.url, '/v1/stream/nobody')).status === 404
    })
  }

  async kill() {
    return this.child.signal('SIGKILL')
  }

  isRunning() {
    return this.child.isRunning()
  }

  log(lines = 20) {
    return this.workspace.tail('reference.log', lines)
  }
}

/** What the server makes of a value: it parses JSON and writes it anew, numbers as JavaScript has
 * them. */
export const asServed = (value) => value && canonical(JSON.stringify(JSON.parse(value)))
