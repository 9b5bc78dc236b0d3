// Compares whole streams with the history of committed states, transaction by transaction: every
// event must be one that its transaction's difference calls for, in one piece and in commit order.
// Nothing may be missing, come twice, or show a row that its reader was never to see.

import { difference, describeDifference, flatten, idOf, printableId } from './oracle.js'
import { Fold, readStream } from './stream.js'

export class History {
  #transactions = [] // {txid, streams, what}
  #streams = new Set()

  /** initial: the state when the bridge made its snapshot. */
  constructor(initial) {
    this.initial = initial
    this.current = initial
    for (const path of initial.keys()) this.#streams.add(path)
  }

  /** Records that txid brought the state to `after`. `what` describes it in a failure. */
  committed(txid, after, what) {
    const streams = difference(this.current, after)
    for (const path of streams.keys()) this.#streams.add(path)
    if (streams.size > 0) this.#transactions.push({ txid, streams, what })
    this.current = after
  }

  /** Reads and checks every stream ever written to, and those of `others`, which nobody may have
   * written to. Returns the number of events seen. */
  async verify(server, others = []) {
    const paths = new Set([...this.#streams, ...others])
    let count = 0
    for (const path of paths) count += await this.#verifyStream(server, path)
    return count
  }

  async #verifyStream(server, path) {
    const { events } = await readStream(server, path)
    const fail = (message) => {
      throw new Error(`stream ${path}: ${message}`)
    }
    const known = new Set(this.#transactions.map((t) => t.txid))
    const fold = new Fold()
    let at = 0
    try {
      while (at < events.length && !known.has(events[at].txid)) fold.apply(events[at++])
      const wrong = describeDifference(this.initial.get(path) ?? new Map(), flatten(fold.state))
      if (wrong) fail(`the snapshot is wrong (${at} events):\n${wrong}`)
      for (const transaction of this.#transactions) {
        const expected = transaction.streams.get(path)
        if (!expected) continue
        const group = []
        while (at < events.length && events[at].txid === transaction.txid) group.push(events[at++])
        const problem = compareGroup(expected, group)
        if (problem) fail(`transaction ${transaction.txid}: ${problem}\nnext event: ${JSON.stringify(events[at])}\n${transaction.what}`)
        fold.applyAll(group)
      }
      if (at < events.length) fail(`event that no transaction called for: ${JSON.stringify(events[at])}`)
    } catch (error) {
      error.message = error.message.startsWith('stream ') ? error.message : `stream ${path}: ${error.message}`
      throw error
    }
    const wrong = describeDifference(this.current.get(path) ?? new Map(), flatten(fold.state))
    if (wrong) fail(`at the end:\n${wrong}`)
    return events.length
  }
}

function compareGroup(expected, group) {
  const seen = new Set()
  for (const event of group) {
    const id = idOf(event)
    const want = expected.get(id)
    if (seen.has(id)) return `${printableId(id)} twice`
    seen.add(id)
    if (!want) return `uncalled-for ${event.operation} of ${printableId(id)}: ${event.value}`
    if (want.operation !== event.operation) return `${event.operation} of ${printableId(id)} instead of ${want.operation}`
    if (want.operation !== 'delete' && want.value !== event.value) {
      return `${event.operation} of ${printableId(id)} with the wrong value\n  expected ${want.value}\n  got      ${event.value}`
    }
  }
  for (const [id, want] of expected) if (!seen.has(id)) return `no ${want.operation} of ${printableId(id)}`
  return ''
}

/** Only the end: every stream folded equals the oracle's state. */
export async function verifyFolds(server, state, others = []) {
  let count = 0
  for (const path of new Set([...state.keys(), ...others])) {
    const { events } = await readStream(server, path)
    count += events.length
    const wrong = describeDifference(state.get(path) ?? new Map(), flatten(new Fold().applyAll(events).state))
    if (wrong) throw new Error(`stream ${path}:\n${wrong}`)
  }
  return count
}
