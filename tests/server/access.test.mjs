// weir serve --auth jwt as a stranger sees it. Tokens are made by the npm package jose and by node's
// crypto, which know nothing of Weir.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHmac, createPublicKey, createSign, generateKeyPairSync, randomBytes, sign as signBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { SignJWT, exportJWK } from 'jose'
import { Daemon, runWeir, weir } from './daemon.mjs'

const secret = randomBytes(32).toString('hex')
const writer = randomBytes(32).toString('hex')
const admin = randomBytes(32).toString('hex')
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed = generateKeyPairSync('ed25519')
const inSet = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pemOf = ({ publicKey }) => publicKey.export({ type: 'spki', format: 'pem' })

let folder
let daemon
const file = (name) => join(folder, name)
const options = () => [
  '--auth', 'jwt', '--auth-secret-file', file('secret'), '--auth-public-key-file', file('public.pem'),
  '--auth-jwks-file', file('jwks.json'), '--writer-token-file', file('writer'), '--admin-token-file', file('admin'),
  '--auth-leeway', '2s', '--auth-streams', 'user/{sub}/**,public/**', '--long-poll-timeout', '1s',
]

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-access-'))
  writeFileSync(file('secret'), `${secret}\n`)
  writeFileSync(file('writer'), `${writer}\n`)
  writeFileSync(file('admin'), `${admin}\n`)
  writeFileSync(file('public.pem'), pemOf(rsa) + pemOf(ec) + pemOf(ed))
  const jwk = { ...(await exportJWK(inSet.publicKey)), kid: 'first', alg: 'ES256', use: 'sig' }
  const encryption = { ...(await exportJWK(stranger.publicKey)), kid: 'enc', use: 'enc' }
  writeFileSync(file('jwks.json'), JSON.stringify({ keys: [jwk, encryption, { kty: 'unknown' }] }))
  daemon = await Daemon.make(...options())
  for (const path of ['user/ana/data', 'user/bob/data', 'public/board', 'user/a%2Fb/data', 'project/7/notes'])
    assert.equal((await as(writer, path, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: `["${path}"]` })).status, 201)
})

after(async () => {
  await daemon?.remove()
  await rm(folder, { recursive: true })
})

const now = () => Math.floor(Date.now() / 1000)
const as = (token, path, { headers, ...rest } = {}, query = '') =>
  fetch(daemon.stream(path, query), { ...rest, headers: { ...headers, ...(token && { authorization: `Bearer ${token}` }) } })
const jwt = (claims = {}, alg = 'HS256', key = Buffer.from(secret), header = {}) =>
  new SignJWT({ sub: 'ana', exp: now() + 600, ...claims }).setProtectedHeader({ alg, ...header }).sign(key)

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const hmac = (text, key, hash = 'sha256') => createHmac(hash, key).update(text).digest('base64url')
/** A token by hand, whatever the header says. */
function forge(header, payload, signature) {
  const text = `${encode(header)}.${encode(payload)}`
  return `${text}.${signature(text)}`
}
const payload = (more = {}) => ({ sub: 'ana', exp: now() + 600, ...more })

async function expectStatus(token, status, path = 'user/ana/data', init = {}) {
  const response = await as(token, path, init)
  const text = await response.text()
  assert.equal(response.status, status, `${status} for ${path}: ${text}`)
  return { response, text }
}

test('every algorithm lets its own tokens in', async () => {
  await expectStatus(await jwt(), 200)
  await expectStatus(await jwt({}, 'HS384'), 200)
  await expectStatus(await jwt({}, 'HS512'), 200)
  for (const alg of ['RS256', 'RS384', 'RS512', 'PS256']) await expectStatus(await jwt({}, alg, rsa.privateKey), 200)
  await expectStatus(await jwt({}, 'ES256', ec.privateKey), 200)
  await expectStatus(await jwt({}, 'EdDSA', ed.privateKey), 200)
  await expectStatus(await jwt({}, 'ES256', inSet.privateKey, { kid: 'first' }), 200)
  await expectStatus(await jwt({}, 'ES256', inSet.privateKey), 200)
})

test('weir token makes tokens of each kind', async () => {
  const write = (name, { privateKey }) => writeFileSync(file(name), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  write('rsa.pem', rsa)
  write('ec.pem', ec)
  write('ed.pem', ed)
  const run = (...args) => execFileSync(weir, ['token', ...args], { encoding: 'utf8' }).trim()
  for (const name of ['rsa.pem', 'ec.pem', 'ed.pem'])
    await expectStatus(run('--sub', 'ana', '--private-key-file', file(name)), 200)
  const token = run('--sub', 'ana', '--auth-secret-file', file('secret'), '--allow', 'project/7/*,x/y', '--jti', 'one', '--lifetime', '90s')
  await expectStatus(token, 200, 'project/7/notes')
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
  assert.deepEqual(claims.streams, ['project/7/*', 'x/y'])
  assert.equal(claims.exp - claims.iat, 90)
  assert.equal(claims.jti, 'one')
  const { code, text } = await runWeir('token', '--sub', 'ana')
  assert.equal(code, 1)
  assert.match(text, /--auth-secret-file or --private-key-file/)
})

test('forged tokens are 401', async () => {
  const good = await jwt({}, 'RS256', rsa.privateKey)
  const [head, body, signature] = good.split('.')
  const none = (alg) => forge({ alg }, payload(), () => '')
  const rs = (text) => createSign('sha256').update(text).sign(rsa.privateKey, 'base64url')
  const ecDer = (text) => createSign('sha256').update(text).sign(ec.privateKey, 'base64url')
  const es = (text) => signBytes('sha256', Buffer.from(text), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
  const edSign = (text) => signBytes(null, Buffer.from(text), ed.privateKey).toString('base64url')
  const hs = (text) => hmac(text, secret)
  await expectStatus(forge({ alg: 'HS256' }, payload(), hs), 200) // the forge itself works
  await expectStatus(forge({ alg: 'ES256' }, payload(), es), 200)
  await expectStatus(forge({ alg: 'EdDSA' }, payload(), edSign), 200)
  const spki = pemOf(rsa)
  const forged = {
    'alg none': none('none'),
    'alg None': none('None'),
    'alg NONE with a signature': forge({ alg: 'NONE' }, payload(), hs),
    'no alg': forge({}, payload(), hs),
    'alg a number': forge({ alg: 256 }, payload(), hs),
    'alg in another case': forge({ alg: 'hs256' }, payload(), hs),
    'alg of encryption': forge({ alg: 'dir', enc: 'A128GCM' }, payload(), hs),
    'RS256 to HS256, the PEM file as the secret': forge({ alg: 'HS256' }, payload(), (text) => hmac(text, readFileSync(file('public.pem')))),
    'RS256 to HS256, one PEM as the secret': forge({ alg: 'HS256' }, payload(), (text) => hmac(text, spki)),
    'RS256 to HS256, PEM without its line end': forge({ alg: 'HS256' }, payload(), (text) => hmac(text, spki.trim())),
    'RS256 to HS256, DER as the secret': forge({ alg: 'HS256' }, payload(), (text) => hmac(text, rsa.publicKey.export({ type: 'spki', format: 'der' }))),
    'ES256 to HS256, the JWKS file as the secret': forge({ alg: 'HS256', kid: 'first' }, payload(), (text) => hmac(text, readFileSync(file('jwks.json')))),
    'HS256 with an empty secret': forge({ alg: 'HS256' }, payload(), (text) => hmac(text, '')),
    'HS256 with another secret': forge({ alg: 'HS256' }, payload(), (text) => hmac(text, randomBytes(32))),
    "HS256 with the writer's token": forge({ alg: 'HS256' }, payload(), (text) => hmac(text, writer)),
    'HS512 signature under HS256': forge({ alg: 'HS256' }, payload(), (text) => hmac(text, secret, 'sha512')),
    'RS256 of another key': await jwt({}, 'RS256', stranger.privateKey),
    'RS256 of the key for encryption': await jwt({}, 'RS256', stranger.privateKey, { kid: 'enc' }),
    'RS256 signature under ES256': forge({ alg: 'ES256' }, payload(), rs),
    'RS256 signature under PS256': forge({ alg: 'PS256' }, payload(), rs),
    'ES256 with a DER signature': forge({ alg: 'ES256' }, payload(), ecDer),
    'ES256 with r = s = 0': forge({ alg: 'ES256' }, payload(), () => Buffer.alloc(64).toString('base64url')),
    'EdDSA with an empty signature': forge({ alg: 'EdDSA' }, payload(), () => Buffer.alloc(64).toString('base64url')),
    'an unknown kid': await jwt({}, 'ES256', inSet.privateKey, { kid: 'second' }),
    "another key's kid": await jwt({}, 'ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, { kid: 'first' }),
    'a kid that is a path': await jwt({}, 'HS256', Buffer.alloc(32), { kid: '../../../../dev/null' }),
    'a kid that is SQL': await jwt({}, 'HS256', randomBytes(32), { kid: "' UNION SELECT 'x" }),
    'a kid that is an object': forge({ alg: 'HS256', kid: { $ne: 1 } }, payload(), hs),
    'its own key in the header': forge({ alg: 'RS256', jwk: createPublicKey(stranger.privateKey).export({ format: 'jwk' }) }, payload(), (text) => createSign('sha256').update(text).sign(stranger.privateKey, 'base64url')),
    'a jku in the header': await jwt({}, 'RS256', stranger.privateKey, { jku: 'http://127.0.0.1/jwks.json' }),
    'crit': forge({ alg: 'HS256', crit: ['exp'] }, payload(), hs),
    'b64 false': forge({ alg: 'HS256', b64: false, crit: ['b64'] }, payload(), hs),
    'alg twice': forge('{"alg":"none","alg":"HS256"}', payload(), hs),
    'a header that is no JSON': forge('{"alg":"HS256"', payload(), hs),
    'a header that is an array': forge('["HS256"]', payload(), hs),
    'a payload that is no JSON': forge({ alg: 'HS256' }, 'sub=ana', hs),
    'a payload that is a string': forge({ alg: 'HS256' }, '"ana"', hs),
    'sub twice': forge({ alg: 'HS256' }, `{"sub":"bob","sub":"ana","exp":${now() + 600}}`, hs),
    'without a signature': `${head}.${body}`,
    'with an empty signature': `${head}.${body}.`,
    'with a fourth part': `${good}.x`,
    'five parts': `${good}.x.y`,
    'only dots': '..',
    'another body': `${head}.${encode(payload({ sub: 'bob' }))}.${signature}`,
    'spaces in it': `${head}.${body} .${signature}`,
    'standard base64': `${head}.${body}.${Buffer.from(signature, 'base64url').toString('base64')}==`,
    'nonsense': 'x',
  }
  for (const [what, token] of Object.entries(forged)) {
    const response = await as(token, 'user/ana/data')
    assert.equal(response.status, 401, what)
    assert.match(response.headers.get('www-authenticate'), /^Bearer realm="weir", error="invalid_token", error_description="[^"\\]+"$/, what)
    assert.match(response.headers.get('content-type'), /^text\/plain/, what)
    assert.notEqual(await response.text(), '')
  }
})

test('a token cut short, or with another character somewhere, is 401', async () => {
  for (const good of [await jwt(), await jwt({}, 'EdDSA', ed.privateKey)]) {
    for (let len = 1; len < good.length; len += len < 40 || len > good.length - 40 ? 1 : 5) await expectStatus(good.slice(0, len), 401)
    // The last character of a part has bits that decode to nothing.
    const last = new Set([good.indexOf('.') - 1, good.lastIndexOf('.') - 1, good.length - 1])
    for (let at = 0; at < good.length; at += 7) {
      if (last.has(at)) continue
      const other = good[at] === 'A' ? 'B' : 'A'
      await expectStatus(good.slice(0, at) + other + good.slice(at + 1), 401)
    }
  }
})

test('what the token says is checked', async () => {
  const bad = {
    'no sub': { sub: undefined },
    'an empty sub': { sub: '' },
    'a number for sub': { sub: 7 },
    'a sub too long': { sub: 'x'.repeat(513) },
    'a sub with NUL': { sub: 'ana\u0000' },
    'no exp': { exp: undefined },
    'a text for exp': { exp: `${now() + 600}` },
    'expired': { exp: now() - 3 },
    'exp in milliseconds before 1970': { exp: -1e300 },
    'not valid yet': { nbf: now() + 60 },
    'issued in the future': { iat: now() + 60 },
    'a text for nbf': { nbf: 'now' },
    'for an audience': { aud: 'somebody' },
    'streams that is a text': { streams: '**' },
    'streams with a number': { streams: ['a', 7] },
    'too many streams': { streams: Array(65).fill('a') },
    'a number for jti': { jti: 7 },
  }
  for (const [what, claims] of Object.entries(bad)) {
    const token = forge({ alg: 'HS256' }, payload(claims), (text) => hmac(text, secret))
    const response = await as(token, 'user/ana/data')
    assert.equal(response.status, 401, what)
  }
  for (const claims of [{ exp: now() - 1 }, { nbf: now() + 1 }, { iat: now() + 1 }, { exp: now() + 1.5 }, { exp: 1e300 }])
    await expectStatus(await forge({ alg: 'HS256' }, payload(claims), (text) => hmac(text, secret)), 200)
})

test('a token is for its own streams, and 403 says nothing about whether there are others', async () => {
  const ana = await jwt({ streams: ['project/7/*'] })
  for (const path of ['user/ana/data', 'public/board', 'project/7/notes', 'user/%61na/data']) await expectStatus(ana, 200, path)
  const refusals = []
  for (const path of ['user/bob/data', 'user/bob/none', 'user/ana%2Fdata', 'nothing', 'user', 'project/8/notes']) {
    const { response, text } = await expectStatus(ana, 403, path)
    refusals.push(JSON.stringify([...response.headers].filter(([name]) => name !== 'date')) + text)
    await expectStatus(ana, 403, path, { method: 'HEAD' })
    await expectStatus(undefined, 401, path)
    await expectStatus('x', 401, path)
  }
  assert.equal(new Set(refusals).size, 1)
  await expectStatus(ana, 404, 'user/ana/none')
  await expectStatus(await jwt({ sub: 'a/b' }), 200, 'user/a%2Fb/data')
  await expectStatus(await jwt({ sub: 'a' }), 403, 'user/a%2Fb/data')
  await expectStatus(await jwt({ sub: 'bob/data' }), 403, 'user/bob/data')
  await expectStatus(await jwt({ sub: '*' }), 403, 'user/ana/data')
  await expectStatus(await jwt({ sub: '..' }), 403, 'user')
})

test('paths that clients fold reach nobody else', async () => {
  const ana = await jwt()
  const raw = async (target) => {
    const socket = connect(daemon.port, '127.0.0.1')
    socket.end(`GET ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ana}\r\nConnection: close\r\n\r\n`)
    let text = ''
    socket.on('data', (chunk) => (text += chunk))
    await once(socket, 'close')
    return Number(text.split(' ')[1])
  }
  assert.equal(await raw('/v1/stream/user/ana/data'), 200)
  assert.equal(await raw('/v1/stream/user/ana/../bob/data'), 400)
  assert.equal(await raw('/v1/stream/user/ana/%2e%2e/bob/data'), 404)
  assert.equal(await raw('/v1/stream/user/ana/..%2fbob/data'), 404)
  assert.equal(await raw('/v1/stream/user//bob/data'), 400)
  assert.equal(await raw('/v1/stream/user/ana%00/data'), 400)
  assert.equal(await raw('/v1/stream/user/bob/data?offset=-1#/user/ana'), 403)
  assert.equal(await raw('/v1/stream/user/ana%2F..%2Fbob/data'), 403)
  assert.equal(await raw('//v1/stream/user/bob/data'), 403)
  assert.equal(await raw('/v1/stream/__weir/revoked'), 403)
  assert.equal(await raw('http://x/v1/stream/user/bob/data'), 403)
})

test("writing takes the writer's token, and the admin's is for looking", async () => {
  const ana = await jwt({ streams: ['**'] })
  const json = { 'content-type': 'application/json' }
  const writes = [
    ['user/ana/new', { method: 'PUT', headers: json }],
    ['user/ana/fork', { method: 'PUT', headers: { 'stream-forked-from': '/v1/stream/user/bob/data' } }],
    ['user/ana/data', { method: 'POST', headers: json, body: '1' }],
    ['user/ana/data', { method: 'POST', headers: { ...json, 'stream-closed': 'true' } }],
    ['user/ana/data', { method: 'DELETE' }],
    ['__weir/batch', { method: 'POST', headers: { 'content-type': 'application/vnd.weir.batch' }, body: 'x' }],
    ['__weir/producers/weir', { method: 'POST' }],
    ['__weir/producers/weir', {}],
    ['__weir/revoked', {}],
    ['__ds/subscriptions/s', { method: 'PUT', headers: json, body: '{}' }],
    ['__ds/subscriptions/s', {}],
    ['__ds/subscriptions/s/claim', { method: 'POST', headers: json, body: '{"worker":"w"}' }],
  ]
  for (const [path, init] of writes) {
    await expectStatus(undefined, 401, path, init)
    await expectStatus(`${writer}x`, 401, path, init)
    await expectStatus(writer.slice(0, -1), 401, path, init)
    await expectStatus(ana, 403, path, init)
    await expectStatus(admin, 403, path, init)
  }
  await expectStatus(writer, 204, 'user/ana/data', { method: 'POST', headers: json, body: '1' })
  await expectStatus(writer, 200, 'user/bob/data')
  await expectStatus(admin, 200, 'user/bob/data')
  await expectStatus(admin, 200, 'user/bob/data', { method: 'HEAD' })
  const metrics = async (token) => (await fetch(`${daemon.url}/metrics`, { headers: token && { authorization: `Bearer ${token}` } })).status
  assert.deepEqual(await Promise.all([metrics(admin), metrics(writer), metrics(ana), metrics()]), [200, 403, 403, 401])
})

test("a claim's token is enough for what it is for, and nothing shows without one", async () => {
  const json = { 'content-type': 'application/json' }
  const on = (token, path, body, method = 'POST') => as(token, `__ds/subscriptions/${path}`, { method, headers: json, body: JSON.stringify(body) })
  await as(writer, 'work/wake', { method: 'PUT', headers: json })
  await as(writer, 'work/one', { method: 'PUT', headers: json })
  assert.equal((await on(writer, 's1', { type: 'pull-wake', streams: ['work/one'], wake_stream: 'work/wake' }, 'PUT')).status, 201)
  await as(writer, 'work/one', { method: 'POST', headers: json, body: '1' })
  const claim = await (await on(writer, 's1/claim', { worker: 'w' })).json()
  const answers = []
  for (const path of ['s1/ack', 's1/release', 's1/callback', 'none/ack', 'none/release', 'none/callback'])
    for (const token of [undefined, 'x', `${claim.generation}.forged`]) {
      const response = await on(token, path, { wake_id: claim.wake_id, generation: claim.generation })
      answers.push(`${response.status} ${await response.text()}`)
    }
  assert.deepEqual([...new Set(answers)], ['401 {"error":{"code":"TOKEN_INVALID","message":"the token is not valid"}}'])
  const done = await on(claim.token, 's1/ack', { wake_id: claim.wake_id, generation: claim.generation, acks: [], done: true })
  assert.equal(done.status, 200)
  const large = await as(undefined, '__ds/subscriptions/s1/ack', { method: 'POST', headers: json, body: 'x'.repeat(300 * 1024) })
  assert.equal(large.status, 413)
})

test('what must be open is open, and caches are told', async () => {
  for (const path of ['/healthz', '/readyz']) assert.equal((await fetch(daemon.url + path)).status, 200)
  for (const target of [daemon.stream('user/ana/data'), `${daemon.url}/metrics`]) {
    const response = await fetch(target, {
      method: 'OPTIONS',
      headers: { origin: 'http://localhost:5173', 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' },
    })
    assert.equal(response.status, 204)
    assert.match(response.headers.get('access-control-allow-headers'), /\bAuthorization\b/)
  }
  const { response } = await expectStatus(await jwt(), 200)
  assert.equal(response.headers.get('vary'), 'Authorization')
  assert.match(response.headers.get('cache-control'), /^private/)
  const refused = await expectStatus(undefined, 401)
  assert.equal(refused.response.headers.get('vary'), 'Authorization')
  assert.equal(refused.response.headers.get('cache-control'), 'no-store')
  assert.equal(refused.response.headers.get('access-control-allow-origin'), '*')
  assert.match(refused.response.headers.get('access-control-expose-headers'), /WWW-Authenticate/)
  const etag = response.headers.get('etag')
  assert.equal((await as(await jwt(), 'user/ana/data', { headers: { 'if-none-match': etag } })).status, 304)
  assert.equal((await as(await jwt({ sub: 'bob' }), 'user/ana/data', { headers: { 'if-none-match': etag } })).status, 403)
  assert.equal((await as(undefined, 'user/ana/data', {}, `?token=${await jwt()}&access_token=${await jwt()}`)).status, 401)
})

test('a token as large as a head may be, and larger', async () => {
  const large = await jwt({ pad: 'x'.repeat(2000) })
  await expectStatus(large, 200)
  assert.ok([401, 431].includes((await as('x'.repeat(6000), 'user/ana/data')).status))
  assert.ok([400, 431].includes((await as('x'.repeat(60000), 'user/ana/data').catch(() => ({ status: 431 }))).status))
})

test('a body is not taken from one who may not send it', async () => {
  const socket = connect(daemon.port, '127.0.0.1')
  socket.write('POST /v1/stream/user/ana/data HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50000000\r\n\r\n')
  let text = ''
  socket.on('data', (chunk) => (text += chunk))
  await once(socket, 'close') // without a byte of it
  assert.match(text, /^HTTP\/1.1 401 /)
})

test('what may be a body is never the next request', async () => {
  const smuggled = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
  for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
    for (const token of [undefined, 'none', await jwt(), writer]) {
      for (const length of ['Content-Length :', 'Content-Length\t:', 'X: a\rContent-Length:', 'Content-Length: 0\r\nContent-Length:']) {
        const authorization = token ? `Authorization: Bearer ${token}\r\n` : ''
        const socket = connect(daemon.port, '127.0.0.1')
        // Written, and not ended: the server closes, or the test does not end.
        socket.write(`${method} /v1/stream/user/ana/data HTTP/1.1\r\nHost: x\r\n${authorization}${length} ${smuggled.length}\r\n\r\n${smuggled}`)
        let text = ''
        socket.on('data', (chunk) => (text += chunk))
        socket.on('error', (error) => assert.equal(error.code, 'ECONNRESET'))
        await once(socket, 'close')
        const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
        assert.deepEqual([...new Set(statuses)], ['400'], JSON.stringify([method, length, !!token, text]))
      }
    }
  }
})

test('files that change are read again, and a bad one leaves what there was', async () => {
  const until = async (what, condition) => {
    const end = Date.now() + 60_000
    while (!(await condition())) if (Date.now() > end) assert.fail(what)
  }
  const status = async (token) => (await as(token, 'user/ana/data')).status
  const next = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const token = await jwt({}, 'ES256', next.privateKey, { kid: 'next' })
  assert.equal(await status(token), 401)
  const set = JSON.parse(readFileSync(file('jwks.json')))
  writeFileSync(file('jwks.new'), JSON.stringify({ keys: [...set.keys, { ...(await exportJWK(next.publicKey)), kid: 'next' }] }))
  renameSync(file('jwks.new'), file('jwks.json'))
  await until('the new key', async () => (await status(token)) === 200)
  const second = randomBytes(32).toString('hex')
  writeFileSync(file('writer'), `${second}\n${writer}\n`)
  await until('the second writer', async () => (await status(second)) === 200)
  assert.equal(await status(writer), 200)
  writeFileSync(file('jwks.json'), '{')
  writeFileSync(file('writer'), `${second}\n`)
  for (let i = 0; i < 50; i++) assert.equal(await status(token), 200)
  writeFileSync(file('jwks.json'), JSON.stringify(set))
  await until('the old key is gone', async () => (await status(token)) === 401)
  await until('the first writer is gone', async () => (await status(writer)) === 401)
  writeFileSync(file('writer'), `${writer}\n`)
  await until('the first writer again', async () => (await status(writer)) === 200)
})

test('an issuer and an audience that are set must be right', async () => {
  const other = await Daemon.make('--auth', 'jwt', '--auth-secret-file', file('secret'), '--writer-token-file', file('writer'), '--auth-issuer', 'https://app.example', '--auth-audience', 'weir')
  try {
    const status = async (claims) => (await fetch(other.stream('user/ana/data'), { headers: { authorization: `bearer ${await jwt(claims)}` } })).status
    const iss = 'https://app.example'
    assert.equal(await status({ iss, aud: 'weir' }), 404)
    assert.equal(await status({ iss, aud: ['x', 'weir'] }), 404)
    for (const claims of [{}, { iss }, { aud: 'weir' }, { iss, aud: 'Weir' }, { iss, aud: [] }, { iss, aud: { weir: 1 } }, { iss: `${iss}/`, aud: 'weir' }, { iss: [iss], aud: 'weir' }])
      assert.equal(await status(claims), 401, JSON.stringify(claims))
  } finally {
    await other.remove()
  }
})

test('what does not fit together does not start, and says why', async () => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
  writeFileSync(file('short'), 'short\n')
  writeFileSync(file('weak.pem'), pemOf(weak))
  writeFileSync(file('private.pem'), rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  writeFileSync(file('private.json'), JSON.stringify({ keys: [await exportJWK(ec.privateKey)] }))
  writeFileSync(file('empty.json'), '{"keys":[]}')
  const jwtWith = (...more) => ['--auth', 'jwt', '--writer-token-file', file('writer'), ...more]
  const refused = [
    [['--auth', 'maybe'], /none or jwt/],
    [['--auth', 'jwt', '--auth-secret-file', file('secret')], /--writer-token-file/],
    [jwtWith(), /--auth-secret-file, --auth-public-key-file or --auth-jwks-file/],
    [jwtWith('--auth-secret-file', file('none')), /cannot open .*none/],
    [jwtWith('--auth-secret-file', file('short')), /less than 32 bytes/],
    [jwtWith('--auth-secret-file', file('public.pem')), /PEM form.*\n.*--auth-public-key-file|PEM form/],
    [jwtWith('--auth-public-key-file', file('secret')), /no key in PEM form/],
    [jwtWith('--auth-public-key-file', file('private.pem')), /private key.*\n?.*pubout/],
    [jwtWith('--auth-public-key-file', file('weak.pem')), /less than 2048 bits/],
    [jwtWith('--auth-jwks-file', file('private.json')), /private key/],
    [jwtWith('--auth-jwks-file', file('empty.json')), /no key/],
    [jwtWith('--auth-jwks-file', file('public.pem')), /JSON Web Key Set/],
    [jwtWith('--auth-secret-file', file('secret'), '--public'), /--public/],
    [jwtWith('--auth-secret-file', file('secret'), '--auth-streams', 'user//{sub}'), /--auth-streams/],
    [jwtWith('--auth-secret-file', file('secret'), '--admin-token-file', file('short')), /16 to 512/],
    [['--auth', 'none', '--writer-token-file', file('writer')], /--auth none asks nobody/],
    [['--auth', 'none', '--listen', '0.0.0.0:0'], /--insecure-no-auth/],
    [jwtWith('--auth-secret-file', file('secret'), '--insecure-no-auth'), /--insecure-no-auth/],
  ]
  for (const [args, why] of refused) {
    const { code, text } = await runWeir('serve', '--listen', '127.0.0.1:0', '--data', file('data'), ...args)
    assert.ok(code === 1 || code === 2, args.join(' '))
    assert.match(text, why)
    for (const value of [secret, writer, admin, 'short\n']) assert.ok(!text.includes(value), args.join(' '))
  }
})
