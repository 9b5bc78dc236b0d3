// A TCP proxy that a test controls: it can cut, reset, fall silent, and be slow.

import net from 'node:net'
import { freePort } from '../../e2e/lib/workspace.js'

/** libuv does not reset what it has shut down already, and Node then never lets go of the handle: the
 * process would not end. */
function reset(socket) {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

export class Proxy {
  dropped = 0 // idle connections
  rewrite // (bytes, isFromNear) => what is sent in their place, or undefined
  #pairs = new Set()
  #isSilent = false
  #isRefusing = false
  #chunkBytes = 0 // 0: as fast as it comes
  #idleMs = 0
  #cutAt // {isHere(data), isFromNear}

  /** Forwards a free loopback port to targetPort, which may come later. */
  static async start(workspace, targetPort) {
    const proxy = new Proxy()
    proxy.port = await freePort()
    proxy.targetPort = targetPort
    proxy.server = net.createServer((near) => proxy.#join(near))
    await new Promise((resolve, reject) => proxy.server.on('error', reject).listen(proxy.port, '127.0.0.1', resolve))
    workspace.onClose(() => {
      proxy.cut()
      return new Promise((resolve) => proxy.server.close(resolve))
    })
    return proxy
  }

  #join(near) {
    if (this.#isRefusing) return void reset(near)
    const far = net.connect(this.targetPort, '127.0.0.1')
    const pair = { near, far, timer: undefined }
    this.#pairs.add(pair)
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on('error', () => {})
      from.on('data', (data) => this.#forward(pair, from, to, data))
      from.on('end', () => to.end())
      from.on('close', () => {
        clearTimeout(pair.timer)
        this.#pairs.delete(pair)
        to.destroy()
      })
      if (this.#isSilent) from.pause()
    }
  }

  #forward(pair, from, to, data) {
    if (this.#cutAt && (from === pair.near) === this.#cutAt.isFromNear && this.#cutAt.isHere(data)) {
      this.#cutAt = undefined
      return void (pair.near.destroy() && pair.far.destroy())
    }
    if (this.rewrite) data = this.rewrite(data, from === pair.near)
    if (this.#idleMs > 0) {
      clearTimeout(pair.timer)
      pair.timer = setTimeout(() => {
        this.dropped++
        pair.near.destroy() && pair.far.destroy()
      }, this.#idleMs)
    }
    if (this.#chunkBytes === 0 || data.length <= this.#chunkBytes) {
      if (!to.write(data)) {
        this.#hold(from)
        to.once('drain', () => this.#release(from))
      }
      return
    }
    // A little each turn of the clock.
    this.#hold(from)
    let at = 0
    const more = () => {
      if (to.destroyed) return
      const end = this.#chunkBytes > 0 ? at + this.#chunkBytes : data.length
      to.write(data.subarray(at, end))
      at = end
      if (at < data.length) setTimeout(more, 1)
      else this.#release(from)
    }
    more()
  }

  /** What is held is not read from until it is released, whatever else is told meanwhile. */
  #hold(from) {
    from.isHeld = true
    from.pause()
  }

  #release(from) {
    from.isHeld = false
    if (!this.#isSilent) from.resume()
  }

  get connections() {
    return this.#pairs.size
  }

  /** Closes every connection as a peer does that ends. */
  cut() {
    for (const { near, far } of this.#pairs) near.destroy() && far.destroy()
  }

  /** Cuts a connection in place of forwarding on it the n-th piece from now that comes from the near side, or
   * from the far one. hasCut: whether it came so far. */
  cutAtPiece(n, { isFromNear = true } = {}) {
    let left = n
    this.#cutAt = { isHere: () => --left === 0, isFromNear }
  }

  /** The same for the first piece from the near side that holds the text. */
  cutAtText(text) {
    this.#cutAt = { isHere: (data) => data.includes(text), isFromNear: true }
  }

  get hasCut() {
    return this.#cutAt === undefined
  }

  reset() {
    for (const { near, far } of this.#pairs) {
      reset(near)
      reset(far)
    }
  }

  /** From now on nothing passes, and nobody is told; speak() lets it pass again. */
  fallSilent() {
    this.#isSilent = true
    for (const { near, far } of this.#pairs) near.pause() && far.pause()
  }

  speak() {
    this.#isSilent = false
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) if (!socket.isHeld) socket.resume()
  }

  refuse(isRefusing = true) {
    this.#isRefusing = isRefusing
  }

  /** So many bytes each millisecond, about; 0: without a limit. */
  slowDown(bytes) {
    this.#chunkBytes = bytes
  }

  /** Drops connections on which nothing has passed for so long, as firewalls do. */
  dropIdle(ms) {
    this.#idleMs = ms
  }

  heal() {
    this.#cutAt = undefined
    this.slowDown(0)
    this.refuse(false)
    this.dropIdle(0)
    this.speak()
  }
}
