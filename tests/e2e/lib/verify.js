// Compares whole streams with the history of committed states, transaction by transaction: every
// event must be one that its transaction's difference calls for, in one piece and in commit order.
// Nothing may be missing, come twice, or show a row that its reader was never to see.

import { difference, describeDifference, flatten, idOf, printableId } from './oracle.js'
import { Fold, readStream } from './stream.js'

export class History {
  #states // committed states, the first one first
  #transactions = [] // #transactions[i] leads from #states[i] to #states[i + 1]: {txid, streams, what}
  #paths = new Set()

  /** initial: the state when the bridge was started, or at the latest when it made its snapshot.
   * asServed: what the stream server makes of a value, where it does not leave it alone. */
  constructor(initial, { asServed = (value) => value } = {}) {
    this.#states = [initial]
    this.asServed = asServed
    for (const path of initial.keys()) this.#paths.add(path)
  }

  get current() {
    return this.#states.at(-1)
  }

  /** Records that txid brought the state to `after`. `what` describes it in a failure. */
  committed(txid, after, what) {
    const streams = difference(this.current, after)
    if (streams.size === 0) return
    for (const path of streams.keys()) this.#paths.add(path)
    this.#transactions.push({ txid, streams, what })
    this.#states.push(after)
  }

  /** Reads and checks every stream ever written to, and those of `others`, which nobody may have
   * written to. The snapshot has to be one of the first `snapshots` states. Returns the number of
   * events. */
  async verify(server, others = [], { snapshots = 1 } = {}) {
    const streams = new Map()
    for (const path of new Set([...this.#paths, ...others])) streams.set(path, (await readStream(server, path)).events)
    const first = this.#findSnapshot(streams, snapshots)
    let count = 0
    for (const [path, events] of streams) {
      this.#verifyStream(path, events, first)
      count += events.length
    }
    return count
  }

  #isTracked(event) {
    this.known ??= new Set()
    for (let i = this.known.size; i < this.#transactions.length; i++) this.known.add(this.#transactions[i].txid)
    return this.known.has(event.txid)
  }

  /** The events ahead of all tracked transactions are the snapshot's. */
  #snapshotOf(events) {
    const end = events.findIndex((event) => this.#isTracked(event))
    return end < 0 ? events : events.slice(0, end)
  }

  /** The index of the one state that all streams begin with. */
  #findSnapshot(streams, candidates) {
    const folded = new Map()
    for (const [path, events] of streams) {
      folded.set(path, inStream(path, () => flatten(new Fold().applyAll(this.#snapshotOf(events)).state)))
    }
    let first
    for (let index = 0; index < Math.min(candidates, this.#states.length); index++) {
      const wrong = this.#wrongSnapshot(folded, this.#states[index])
      if (!wrong) return index
      first ??= wrong
    }
    throw new Error(`the snapshot is none of the committed states; compared with the first: ${first}`)
  }

  #servedRows(state, path) {
    return new Map([...(state.get(path) ?? [])].map(([id, value]) => [id, this.asServed(value)]))
  }

  #wrongSnapshot(folded, state) {
    for (const [path, rows] of folded) {
      const wrong = describeDifference(this.#servedRows(state, path), rows)
      if (wrong) return `stream ${path}:\n${wrong}`
    }
    return ''
  }

  #verifyStream(path, events, first) {
    const fail = (message) => {
      throw new Error(`stream ${path}: ${message}`)
    }
    const fold = new Fold().applyAll(this.#snapshotOf(events))
    let at = this.#snapshotOf(events).length
    for (const transaction of this.#transactions.slice(first)) {
      const expected = transaction.streams.get(path)
      if (!expected) continue
      const group = []
      while (at < events.length && events[at].txid === transaction.txid) group.push(events[at++])
      const problem = compareGroup(expected, group, this.asServed)
      if (problem) fail(`transaction ${transaction.txid}: ${problem}\nnext event: ${JSON.stringify(events[at])}\n${transaction.what}`)
      inStream(path, () => fold.applyAll(group))
    }
    if (at < events.length) fail(`event that no transaction called for: ${JSON.stringify(events[at])}`)
    const wrong = describeDifference(this.#servedRows(this.current, path), flatten(fold.state))
    if (wrong) fail(`at the end:\n${wrong}`)
  }
}

function inStream(path, work) {
  try {
    return work()
  } catch (error) {
    error.message = `stream ${path}: ${error.message}`
    throw error
  }
}

function compareGroup(expected, group, asServed) {
  const seen = new Set()
  for (const event of group) {
    const id = idOf(event)
    const want = expected.get(id)
    if (seen.has(id)) return `${printableId(id)} twice`
    seen.add(id)
    if (!want) return `uncalled-for ${event.operation} of ${printableId(id)}: ${event.value}`
    if (want.operation !== event.operation) return `${event.operation} of ${printableId(id)} instead of ${want.operation}`
    if (want.operation !== 'delete' && asServed(want.value) !== event.value) {
      return `${event.operation} of ${printableId(id)} with the wrong value\n  expected ${want.value}\n  got      ${event.value}`
    }
  }
  for (const [id, want] of expected) if (!seen.has(id)) return `no ${want.operation} of ${printableId(id)}`
  return ''
}

/** Only the end: every stream folded equals the oracle's state. */
export async function verifyFolds(server, state, others = [], { asServed = (value) => value } = {}) {
  let count = 0
  for (const path of new Set([...state.keys(), ...others])) {
    const { events } = await readStream(server, path)
    count += events.length
    const rows = new Map([...(state.get(path) ?? [])].map(([id, value]) => [id, asServed(value)]))
    const wrong = describeDifference(rows, flatten(new Fold().applyAll(events).state))
    if (wrong) throw new Error(`stream ${path}:\n${wrong}`)
  }
  return count
}
