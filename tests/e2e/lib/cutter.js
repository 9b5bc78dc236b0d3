// A TCP proxy that cuts its connections when told to, as a train does when it enters a tunnel.

import net from 'node:net'

export class Cutter {
  #sockets = new Set()

  /** Forwards a free loopback port to targetPort. */
  static async start(workspace, targetPort) {
    const cutter = new Cutter()
    cutter.server = net.createServer((inner) => cutter.#join(inner, net.connect(targetPort, '127.0.0.1')))
    await new Promise((resolve) => cutter.server.listen(0, '127.0.0.1', resolve))
    cutter.url = `http://127.0.0.1:${cutter.server.address().port}`
    workspace.onClose(() => {
      cutter.cut()
      return new Promise((resolve) => cutter.server.close(resolve))
    })
    return cutter
  }

  #join(inner, outer) {
    for (const [from, to] of [[inner, outer], [outer, inner]]) {
      this.#sockets.add(from)
      from.pipe(to)
      from.on('error', () => {})
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
    }
  }

  /** Resets every connection; returns how many there were. */
  cut() {
    const count = this.#sockets.size / 2
    for (const socket of this.#sockets) socket.destroy()
    return count
  }
}
