// docs/benchmarks.md has parts, each written by a run of its own: bench/run, bench/run standard, bench/run server
// and bench/run cost.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const HEADS = [['pipeline', '# Benchmarks'], ['standard', '## Other stream servers'], ['server', '## The stream server by itself'], ['cost', '## What one change costs']]

/** The parts that a page has, by name, in their order. */
function partsOf(path) {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const starts = HEADS.map(([kind, head]) => [kind, text.indexOf(head)]).filter(([, at]) => at >= 0)
  return new Map(starts.map(([kind, at], i) => [kind, text.slice(at, starts[i + 1]?.[1])]))
}

export function writePart(path, text, kind) {
  const parts = partsOf(path).set(kind, text)
  const inOrder = HEADS.flatMap(([name]) => (parts.has(name) ? [parts.get(name)] : []))
  writeFileSync(path, inOrder.map((part) => `${part.trimEnd()}\n`).join('\n'))
}
