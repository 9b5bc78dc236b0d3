// Pull-wake subscriptions: what the official suite leaves out, and restarts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Daemon } from './daemon.mjs'

const json = { 'content-type': 'application/json' }

class Subscription {
  constructor(daemon, id) {
    this.daemon = daemon
    this.id = id
  }

  async call(method, action, body, token) {
    const answer = await fetch(this.daemon.stream(`__ds/subscriptions/${this.id}${action}`), {
      method,
      headers: { ...json, ...(token && { authorization: `Bearer ${token}` }) },
      body: body && JSON.stringify(body),
    })
    const text = await answer.text()
    return { status: answer.status, body: text ? JSON.parse(text) : undefined }
  }

  create(config) {
    return this.call('PUT', '', { type: 'pull-wake', wake_stream: 'wake', lease_ttl_ms: 1000, ...config })
  }

  claim(worker = 'w') {
    return this.call('POST', '/claim', { worker })
  }

  ack({ wake_id, generation, token }, acks, done) {
    return this.call('POST', '/ack', { wake_id, generation, acks, done }, token)
  }
}

async function wakes(daemon) {
  return (await fetch(daemon.stream('wake'))).json()
}

async function waitForWakes(daemon, count) {
  let events = []
  let offset = '-1'
  while (events.length < count) {
    const answer = await fetch(daemon.stream('wake', `?offset=${offset}&live=long-poll`))
    offset = answer.headers.get('stream-next-offset')
    if (answer.status === 200) events.push(...(await answer.json()))
  }
  return events
}

async function start(...options) {
  const daemon = await Daemon.make(...options)
  await daemon.put('wake', json)
  return daemon
}

test('streams that exist begin at their tail, new ones at their beginning', async () => {
  const daemon = await start()
  await daemon.put('jobs/old', json, '[1]')
  const subscription = new Subscription(daemon, 's')
  assert.equal((await subscription.create({ pattern: 'jobs/*' })).status, 201)
  assert.equal((await subscription.create({ pattern: 'jobs/*' })).status, 200)
  assert.equal((await subscription.create({ pattern: 'jobs/**' })).status, 409)
  assert.equal((await subscription.claim()).body.error.code, 'NO_PENDING_WORK')
  await daemon.put('jobs/new', json, '[1]')
  await daemon.put('jobs/deep/er', json, '[1]')
  const [event] = await waitForWakes(daemon, 1)
  assert.equal(event.type, 'wake')
  assert.equal(event.stream, 'jobs/new')
  assert.equal(event.generation, 1)
  const { body } = await subscription.claim()
  assert.deepEqual(body.streams.map(({ path, has_pending }) => [path, has_pending]),
    [['jobs/new', true], ['jobs/old', false]])
  await daemon.remove()
})

test('a subscription that is there is told from another one by all that it is made of', async () => {
  const daemon = await start()
  const subscription = new Subscription(daemon, 's')
  const config = { pattern: 'a/*', streams: ['b/c', 'd e', 'f'], description: 'x' }
  const created = await subscription.create(config)
  assert.equal(created.status, 201)
  for (let restart = 0; restart < 2; restart++) {
    for (const same of [config, { ...config, streams: ['f', '%64%20e', 'b/%63', 'f'], pattern: '%61/*' }, { ...config, webhook: { url: 'x' }, other: 1 }]) {
      const answer = await subscription.create(same)
      assert.deepEqual(answer, { ...created, status: 200 })
    }
    for (const change of [{ pattern: 'a/**' }, { pattern: undefined }, { streams: ['b/c', 'd e'] }, { streams: undefined },
      { streams: ['b%2Fc', 'd e', 'f'] }, { description: '' }, { description: undefined }, { lease_ttl_ms: 1001 }, { lease_ttl_ms: undefined },
      { wake_stream: 'wake2' }]) {
      const { status, body } = await subscription.create({ ...config, ...change })
      assert.equal(status, 409, JSON.stringify(change))
      assert.equal(body.error.code, 'SUBSCRIPTION_ALREADY_EXISTS')
    }
    await daemon.kill()
    await daemon.start()
  }
  // What is linked later is not what it was made with.
  assert.equal((await subscription.call('POST', '/streams', { streams: ['g'] })).status, 204)
  assert.equal((await subscription.create(config)).status, 200)
  await daemon.remove()
})

test('a token is of its subscription alone, and however its scheme is written', async () => {
  const daemon = await start()
  const [one, other] = [new Subscription(daemon, 'one%2F1'), new Subscription(daemon, 'other')]
  for (const subscription of [one, other]) await subscription.create({ streams: ['a'], lease_ttl_ms: 600000 })
  await daemon.put('a', json, '[1]')
  await waitForWakes(daemon, 2)
  const { body: claim } = await one.claim()
  const { body: foreign } = await other.claim()
  assert.match(claim.token, /^[A-Za-z0-9._~+/-]+$/) // RFC 6750, 2.1
  assert.equal((await one.ack({ ...claim, token: foreign.token }, [])).body.error.code, 'TOKEN_INVALID')
  const [, generation, expires] = claim.token.split('.')
  assert.equal(Number(generation), claim.generation)
  assert.ok(Number(expires) * 1000 > Date.now() + claim.lease_ttl_ms)
  const longer = claim.token.replace(expires, String(Number(expires) + 1))
  assert.equal((await one.ack({ ...claim, token: longer }, [])).body.error.code, 'TOKEN_INVALID')
  for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
    const answer = await fetch(daemon.stream('__ds/subscriptions/one%2F1/ack'), { method: 'POST',
      headers: { ...json, authorization: `${scheme} ${claim.token}` }, body: JSON.stringify({ wake_id: claim.wake_id, generation: claim.generation }) })
    assert.equal(answer.status, 200, scheme)
  }
  for (const authorization of [undefined, '', claim.token, `Basic ${claim.token}`, `Bearer${claim.token}`]) {
    const answer = await fetch(daemon.stream('__ds/subscriptions/one%2F1/ack'), { method: 'POST',
      headers: { ...json, ...(authorization !== undefined && { authorization }) }, body: JSON.stringify({ wake_id: claim.wake_id, generation: claim.generation }) })
    assert.equal(answer.status, 401, authorization)
  }
  // Another subscription of the same name has other tokens.
  await one.call('DELETE', '')
  await one.create({ streams: ['a'], lease_ttl_ms: 600000 })
  await daemon.post('a', '[2]')
  await waitForWakes(daemon, 3)
  assert.equal((await one.claim()).body.generation, 1)
  assert.equal((await one.ack(claim, [])).body.error.code, 'TOKEN_INVALID')
  await daemon.remove()
})

test('only the current wake moves cursors', async () => {
  const daemon = await start()
  const subscription = new Subscription(daemon, 's')
  await subscription.create({ streams: ['a', 'b'] })
  await daemon.put('a', json, '[1]')
  await waitForWakes(daemon, 1)
  const { body: first } = await subscription.claim('one')
  assert.equal((await subscription.claim('two')).body.error.current_holder, 'one')
  const offset = first.streams[0].tail_offset
  assert.equal((await subscription.ack({ ...first, token: 'x' }, [], true)).status, 401)
  assert.equal((await subscription.ack({ ...first, token: `${first.token}0` }, [], true)).status, 401)
  assert.equal((await subscription.ack({ ...first, wake_id: 'w_x' }, [], true)).body.error.code, 'FENCED')
  const beyond = offset.replace(/.$/, '9')
  for (const acks of [[{ stream: 'c', offset }], [{ stream: 'a', offset: '-1' }],
    [{ stream: 'a', offset: beyond }], [{ stream: 'a', offset }, { stream: 'b', offset }]])
    assert.equal((await subscription.ack(first, acks, true)).body.error.code, 'INVALID_OFFSET')
  assert.deepEqual((await subscription.ack(first, [{ stream: 'a', offset }])).body,
    { ok: true, next_wake: false })
  await daemon.post('a', '[2]')
  assert.deepEqual((await subscription.ack(first, [], true)).body, { ok: true, next_wake: true })
  assert.equal((await subscription.ack(first, [], true)).body.error.code, 'FENCED')
  const { body: second } = await subscription.claim('two')
  assert.equal(second.generation, 2)
  assert.equal((await subscription.ack({ ...second, token: first.token }, [], true)).body.error.code,
    'FENCED')
  assert.equal((await subscription.call('POST', '/release', second, second.token)).status, 204)
  assert.deepEqual((await wakes(daemon)).map(({ generation }) => generation), [1, 2, 3])
  await daemon.remove()
})

test('a lease that is over wakes another worker', async () => {
  const daemon = await start()
  const subscription = new Subscription(daemon, 's')
  await subscription.create({ streams: ['a'] })
  await daemon.put('a', json, '[1]')
  await waitForWakes(daemon, 1)
  const { body: first } = await subscription.claim()
  await waitForWakes(daemon, 2)
  assert.equal((await subscription.ack(first, [], true)).body.error.code, 'FENCED')
  assert.equal((await subscription.claim()).body.generation, 2)
  await daemon.remove()
})

test('streams are added and removed, and a deleted one begins anew', async () => {
  const daemon = await start()
  const subscription = new Subscription(daemon, 's')
  await subscription.create({ streams: ['a'], pattern: 'user/*/data' })
  await daemon.put('user/1%2F2/data', json, '[1]')
  await waitForWakes(daemon, 1)
  const paths = async () =>
    (await subscription.call('GET', '')).body.streams.map(({ path, link_type }) => `${path} ${link_type}`)
  assert.deepEqual(await paths(), ['a explicit', 'user/1%2F2/data glob'])
  const add = (streams) => subscription.call('POST', '/streams', { streams })
  assert.equal((await add(['b/c', 'user/1%2F2/data'])).status, 204)
  assert.equal((await add(['..'])).status, 400)
  assert.deepEqual(await paths(), ['a explicit', 'b/c explicit', 'user/1%2F2/data explicit'])
  for (const path of ['b/c', 'user/1%2F2/data', 'nothing'])
    assert.equal((await subscription.call('DELETE', `/streams/${encodeURIComponent(path)}`)).status, 204)
  assert.deepEqual(await paths(), ['a explicit', 'user/1%2F2/data glob'])
  assert.equal((await subscription.call('DELETE', '')).status, 204)
  assert.equal((await subscription.call('GET', '')).status, 404)
  await daemon.remove()
})

test('cursors, claims and tokens survive SIGKILL, and nothing appended meanwhile is overlooked', async () => {
  const daemon = await start()
  const subscription = new Subscription(daemon, 's')
  await subscription.create({ pattern: '**', lease_ttl_ms: 600000 })
  await daemon.put('a', json, '[1]')
  await waitForWakes(daemon, 1)
  const { body: claim } = await subscription.claim()
  const offset = claim.streams[0].tail_offset
  await subscription.ack(claim, [{ stream: 'a', offset }])
  await daemon.post('a', '[2]')
  for (let restart = 0; restart < 2; restart++) {
    await daemon.kill()
    await daemon.start()
    assert.equal((await subscription.claim()).body.error.code, 'ALREADY_CLAIMED')
    const { body } = await subscription.call('GET', '')
    assert.deepEqual(body.streams, [{ path: 'a', link_type: 'glob', acked_offset: offset }])
    assert.deepEqual((await subscription.ack(claim, [])).body, { ok: true, next_wake: false })
  }
  assert.deepEqual((await subscription.ack(claim, [], true)).body, { ok: true, next_wake: true })
  await daemon.remove()
})

test('nonsense is refused', async () => {
  const daemon = await start()
  const subscription = new Subscription(daemon, 's')
  for (const config of [{}, { type: 'webhook', pattern: '*' }, { type: 'x', pattern: '*' },
    { pattern: 'a//b' }, { streams: 'a' }, { streams: ['..'] }, { streams: ['__ds/x'] },
    { pattern: '*', lease_ttl_ms: 999 }, { pattern: '*', lease_ttl_ms: 600001 },
    { pattern: '*', wake_stream: '' }, { pattern: 5, streams: ['a'] }, { pattern: '*', description: 5 }]) {
    const { status, body } = await subscription.create(config)
    assert.equal(status, 400, JSON.stringify(config))
    assert.equal(body.error.code, 'INVALID_REQUEST')
  }
  assert.equal((await subscription.claim()).status, 404)
  assert.equal((await subscription.call('POST', '/claim', undefined)).status, 400)
  // Many libraries write what is not there as null.
  const nothing = { pattern: '*', streams: null, lease_ttl_ms: null, description: null, webhook: null }
  assert.equal((await subscription.create(nothing)).status, 201)
  assert.equal((await subscription.create({ pattern: '*', lease_ttl_ms: 30000 })).status, 200)
  assert.equal((await fetch(daemon.stream('__ds/jwks.json'))).status, 404)
  await daemon.remove()
})
