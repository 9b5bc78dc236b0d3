// The judges judged: a checker that finds nothing wrong has to be able to.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import test from 'node:test'
import { canonical, canonicalNumber, elements, members } from '../lib/json.js'
import { Random } from '../lib/random.js'
import { segment } from '../lib/raw_http.js'
import { Fold, parseEvent } from '../lib/stream.js'
import { History } from '../lib/verify.js'

test('canonical JSON keeps digits and forgets order and spaces', () => {
  assert.equal(canonical(' {"b" : 1.10, "a":[1e2, {"x":"\\u00e9\\n"}] } '), '{"a":[100,{"x":"é\\n"}],"b":1.10}')
  assert.equal(canonical('12345678901234567890123.10'), '12345678901234567890123.10')
  assert.notEqual(canonical('1.10'), canonical('1.1'))
  for (const [number, expected] of [['1.5e1', '15'], ['12e-1', '1.2'], ['0e5', '0'], ['-1.5E-3', '-0.0015'], ['1e+3', '1000'], ['-7', '-7'], ['-0.0', '0.0']]) {
    assert.equal(canonicalNumber(number), expected)
  }
  for (const bad of ['', '{', '{"a":}', '[1,]', '01', '1 2', 'nul', '"\u0001"', "'a'"]) assert.throws(() => canonical(bad), /JSON/, bad)
})

test('JSON is taken apart without being changed', () => {
  assert.deepEqual(elements('[1.10, {"a":[ ]},"x,]"]'), ['1.10', '{"a":[ ]}', '"x,]"'])
  assert.deepEqual([...members('{"a\\u0062": {"c":1.0} , "d":null}')], [['ab', '{"c":1.0}'], ['d', 'null']])
})

test('a seed gives the same choices again', () => {
  const choices = (seed) => {
    const random = new Random(seed)
    return Array.from({ length: 50 }, () => random.below(1000))
  }
  assert.deepEqual(choices(7), choices(7))
  assert.notDeepEqual(choices(7), choices(8))
})

test('subjects become one segment', () => {
  assert.equal(segment('a/b'), 'a%2Fb')
  assert.equal(segment('..'), '%2E%2E')
  assert.equal(segment("it's (50%)!*"), 'it%27s%20%2850%25%29%21%2A')
})

test('a strict fold refuses what does not fit', () => {
  const event = (operation, key) => ({ type: 't', key, operation, value: operation === 'delete' ? undefined : '{}' })
  assert.throws(() => new Fold().applyAll([event('insert', 'a'), event('insert', 'a')]), /already there/)
  assert.throws(() => new Fold().apply(event('update', 'a')), /not there/)
  assert.throws(() => new Fold().apply(event('delete', 'a')), /not there/)
})

test('an event that a client would drop or choke on is refused', () => {
  const whole = { type: 't', key: 'k', value: {}, headers: { operation: 'insert', txid: '7' } }
  assert.equal(parseEvent(JSON.stringify(whole)).txid, '7')
  for (const broken of [
    { ...whole, type: undefined }, { ...whole, key: undefined }, { ...whole, key: 7 }, { ...whole, headers: undefined }, { ...whole, value: null },
    { ...whole, value: undefined }, { ...whole, headers: { operation: 'upsert' } }, { ...whole, headers: { operation: 'insert', txid: 7 } },
    { ...whole, headers: { operation: 'insert', timestamp: 'yesterday' } },
  ]) assert.throws(() => parseEvent(JSON.stringify(broken)), /event/)
})

const id = (key) => `t\u0000${key}`
const row = (n) => `{"n":${n}}`
const event = (operation, key, n, txid) => ({ type: 't', key, ...(n === undefined ? {} : { value: { n } }), headers: { operation, txid } })

/** What the verifier says about a stream that holds `events`: '' when content. */
async function verdict(events) {
  const server = createServer((request, response) => {
    response.setHeader('stream-next-offset', '1')
    response.setHeader('stream-up-to-date', 'true')
    response.end(JSON.stringify(events))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const history = new History(new Map([['s', new Map([[id('old'), row(1)]])]]))
  history.committed('11', new Map([['s', new Map([[id('old'), row(1)], [id('a'), row(1)], [id('b'), row(1)]])]]), '')
  history.committed('12', history.current, '') // changes nothing
  history.committed('13', new Map([['s', new Map([[id('a'), row(2)], [id('b'), row(1)]])]]), '')
  try {
    await history.verify(`http://127.0.0.1:${server.address().port}`)
    return ''
  } catch (error) {
    return error.message
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('the verifier finds what is lost, repeated, leaked, torn and out of order', async () => {
  const first = event('insert', 'old', 1, '5')
  const [a, b] = [event('insert', 'a', 1, '11'), event('insert', 'b', 1, '11')]
  const [change, gone] = [event('update', 'a', 2, '13'), event('delete', 'old', undefined, '13')]
  assert.equal(await verdict([first, a, b, change, gone]), '')
  assert.equal(await verdict([first, b, a, gone, change]), '') // the order within a transaction is free
  const wrong = [
    ['the snapshot lost', [a, b, change, gone]],
    ['an event lost', [first, a, change, gone]],
    ['a transaction lost', [first, a, b]],
    ['an event twice', [first, a, a, b, change, gone]],
    ['a transaction twice', [first, a, b, a, b, change, gone]],
    ['transactions out of order', [first, change, gone, a, b]],
    ['a transaction torn', [first, a, change, gone, b]],
    ['a wrong value', [first, a, b, event('update', 'a', 3, '13'), gone]],
    ['a wrong operation', [first, a, b, event('insert', 'a', 2, '13'), gone]],
    ['an event of nothing', [first, a, b, event('update', 'a', 1, '12'), change, gone]],
    ['a leak', [first, a, b, event('insert', 'secret', 9, '11'), change, gone]],
    ['a leak afterwards', [first, a, b, change, gone, event('insert', 'secret', 9, '14')]],
    ['a leak taken back', [first, a, b, change, gone, event('insert', 'x', 9, '14'), event('delete', 'x', undefined, '14')]],
  ]
  for (const [what, events] of wrong) assert.notEqual(await verdict(events), '', what)
})
