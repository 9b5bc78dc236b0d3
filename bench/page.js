// docs/benchmarks.md has two parts, each written by a run of its own: bench/run and bench/run server.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const SERVER_PART = '## The stream server by itself'

/** The part before the server's, and the server's; both may be empty. */
function partsOf(path) {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const at = text.indexOf(SERVER_PART)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at)]
}

const join = (parts) => parts.filter((part) => part !== '').map((part) => `${part.trimEnd()}\n`).join('\n')

export function writePart(path, text, isServer) {
  const [pipeline, server] = partsOf(path)
  writeFileSync(path, join(isServer ? [pipeline, text] : [text, server]))
}
