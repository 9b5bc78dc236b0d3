// How much anonymous memory both daemons had at their highest; the mapped files' cache is not in it.

import { readFileSync } from 'node:fs'

const POLL_MS = 50

/** In MB. */
function anonymous(pid) {
  const match = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return match ? Number(match[1]) / 1024 : 0
}

export class Peak {
  constructor(stack) {
    this.processes = { bridge: stack.bridge.child.process.pid, server: stack.server.child.process.pid }
    this.most = { bridge: 0, server: 0 }
    this.timer = setInterval(() => this.#look(), POLL_MS)
  }

  #look() {
    for (const [name, pid] of Object.entries(this.processes)) this.most[name] = Math.max(this.most[name], anonymous(pid))
  }

  /** {bridge, server} in MB. */
  stop() {
    this.#look()
    clearInterval(this.timer)
    return this.most
  }
}
