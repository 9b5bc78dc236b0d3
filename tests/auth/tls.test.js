// TLS of weir serve: curl, the real client in a process of its own (NODE_EXTRA_CA_CERTS is read at its
// start), and the bridge; a certificate that is renewed while it runs.

import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import test, { after, before } from 'node:test'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { Cluster } from '../e2e/lib/cluster.js'
import { Child } from '../e2e/lib/process.js'
import { until } from '../e2e/lib/wait.js'
import { Bridge, runWeir, weirProgram } from '../e2e/lib/weir.js'
import { Workspace, freePort } from '../e2e/lib/workspace.js'

let workspace
let port
let server
const path = (name) => workspace.path(name)
const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' })

/** A certificate of our own authority for 127.0.0.1, in NAME.crt and NAME.key. */
function certify(name, { key = ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] } = {}) {
  openssl('req', '-newkey', ...key, '-nodes', '-keyout', path(`${name}.key`), '-subj', `/CN=${name}`, '-out', path(`${name}.csr`))
  writeFileSync(path('extensions'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  openssl('x509', '-req', '-in', path(`${name}.csr`), '-CA', path('ca.crt'), '-CAkey', path('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', path('extensions'), '-out', path(`${name}.crt`))
}

function serve(name, ...args) {
  const child = new Child(weirProgram(), ['serve', '--listen', `127.0.0.1:${port}`, '--data', path(`${name}-data`), '--auth', 'none', '--long-poll-timeout', '2s', ...args], { logFile: path(`${name}.log`) })
  workspace.onClose(() => child.stop())
  return child
}

/** An answer by HTTPS: {status, body, subject}. */
function get(target, { ca = readFileSync(path('ca.crt')) } = {}) {
  return new Promise((resolve, reject) => {
    const asked = request(`https://127.0.0.1:${port}${target}`, { ca, agent: false }, (response) => {
      let body = ''
      const { subject } = response.socket.getPeerCertificate()
      response.on('data', (chunk) => (body += chunk))
      response.on('end', () => resolve({ status: response.statusCode, body, subject: subject.CN }))
      response.on('error', reject)
    })
    asked.on('error', reject)
    asked.end()
  })
}

before(async () => {
  workspace = new Workspace('tls')
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=weir tests', '-keyout', path('ca.key'), '-out', path('ca.crt'))
  certify('server')
  certify('renewed', { key: ['rsa:2048'] })
  port = await freePort()
  server = serve('serve', '--tls-cert', path('server.crt'), '--tls-key', path('server.key'))
  await until('the server', async () => server.isRunning() && (await get('/healthz')).status === 200)
})

after(() => workspace.close())

const curl = (...args) =>
  new Promise((resolve) => {
    execFile('curl', ['-sS', '--max-time', '30', ...args], { maxBuffer: 64 << 20 }, (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr }))
  })
const url = (name) => `https://127.0.0.1:${port}/v1/stream/${name}`

test('curl writes and reads, and does not believe a stranger', async () => {
  const trusting = ['--cacert', path('ca.crt')]
  const big = JSON.stringify('x'.repeat(3_000_000)) // more than any buffer on the way
  writeFileSync(path('big.json'), `[${big},1]`)
  const put = await curl(...trusting, '-i', '-X', 'PUT', '-H', 'content-type: application/json', '--data-binary', `@${path('big.json')}`, url('curl/one'))
  assert.match(put.stdout, /^HTTP\/1\.1 201 /m)
  assert.match(put.stdout, new RegExp(`^location: https://127\\.0\\.0\\.1:${port}/`, 'im'))
  const read = await curl(...trusting, url('curl/one?offset=-1'))
  assert.ok(read.stdout === `[${big},1]`, `${read.stdout.length} characters: ${read.stderr}`)
  assert.notEqual((await curl(url('curl/one'))).code, 0)
  assert.notEqual((await curl(...trusting, '--tls-max', '1.1', url('curl/one'))).code, 0)
  assert.equal((await curl(...trusting, '--tls-max', '1.2', url('curl/one?offset=now'))).code, 0)
  const plain = await curl(`http://127.0.0.1:${port}/healthz`)
  assert.ok(plain.code !== 0 || plain.stdout === '')
})

test('one who connects and says nothing, or nonsense, keeps nobody waiting', async () => {
  const { createConnection } = await import('node:net')
  const silent = createConnection(port, '127.0.0.1')
  const noise = createConnection(port, '127.0.0.1', () => noise.write('GET / HTTP/1.1\r\n\r\n'.repeat(50)))
  for (const socket of [silent, noise]) socket.on('error', () => {})
  for (let i = 0; i < 20; i++) assert.equal((await get('/healthz')).status, 200)
  silent.destroy()
  noise.destroy()
})

test('the real client follows, by long-poll and by SSE', async () => {
  const program = fileURLToPath(new URL('tls_client.js', import.meta.url))
  const run = (env, ...args) =>
    new Promise((resolve) => {
      execFile(process.execPath, [program, ...args], { env: { ...process.env, ...env }, timeout: 60_000 }, (error, stdout, stderr) => resolve({ code: error ? (error.code ?? error.signal) : 0, stdout, stderr }))
    })
  for (const live of ['true', 'long-poll', 'sse']) {
    const { code, stdout, stderr } = await run({ NODE_EXTRA_CA_CERTS: path('ca.crt') }, url(`client/${live}`), live, '40')
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), Array.from({ length: 40 }, (_, n) => n))
  }
})

test('the bridge publishes with --streams-ca-file, and not without', async () => {
  const cluster = await Cluster.start(workspace)
  assert.equal((await runWeir(['install', '--db', cluster.conninfo()])).code, 0)
  const db = await cluster.connect()
  workspace.onClose(() => db.end())
  await db.query(`CREATE TABLE todos (id int PRIMARY KEY, owner_id text); ALTER PUBLICATION weir ADD TABLE todos;
    INSERT INTO weir.rules (name, relation, audience) VALUES ('own', 'todos', 'SELECT todos.owner_id'); INSERT INTO todos VALUES (1, 'ana')`)
  const streamsUrl = `https://127.0.0.1:${port}/v1/stream`
  const without = await runWeir(['doctor', '--db', cluster.conninfo(), '--streams', streamsUrl])
  assert.match(without.output, /^error +https:.*(certificate|CA)/m)
  const bridge = new Bridge(workspace, { conninfo: cluster.conninfo(), streamsUrl, args: ['--streams-ca-file', path('ca.crt')] })
  bridge.start()
  await until('the row', async () => (await get('/v1/stream/user/ana/data?offset=-1')).body.includes('"owner_id":"ana"'))
  const within = await runWeir(['doctor', '--db', cluster.conninfo(), '--streams', streamsUrl, '--streams-ca-file', path('ca.crt'), '--state', bridge.stateDir])
  assert.doesNotMatch(within.output, /^error/m)
  await bridge.stop()
})

test('a renewed certificate is used without a restart; one that does not fit is not', async () => {
  const old = connect({ port, host: '127.0.0.1', ca: readFileSync(path('ca.crt')) })
  await new Promise((resolve) => old.once('secureConnect', resolve))
  assert.equal((await get('/healthz')).subject, 'server')
  const replace = (from, to) => {
    writeFileSync(path('next'), readFileSync(path(from)))
    renameSync(path('next'), path(to))
  }
  const log = () => readFileSync(path('serve.log'), 'utf8')
  replace('renewed.crt', 'server.crt') // without its key yet
  await until('a word about it', () => /the certificate from before stays in use/.test(log()))
  assert.equal((await get('/healthz')).subject, 'server')
  replace('renewed.key', 'server.key')
  await until('the new certificate', async () => (await get('/healthz')).subject === 'renewed')
  let answer = ''
  old.on('data', (chunk) => (answer += chunk))
  old.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n') // the connection of before goes on
  await until('an answer', () => answer.startsWith('HTTP/1.1 200'))
  old.destroy()
})

test('files that do not fit together do not start', async () => {
  certify('another')
  writeFileSync(path('empty'), '')
  openssl('pkey', '-in', path('another.key'), '-aes256', '-passout', 'pass:secret words', '-out', path('locked.key'))
  const refused = [
    [['--tls-cert', path('another.crt')], /--tls-cert is there without --tls-key/],
    [['--tls-key', path('another.key')], /--tls-key is there without --tls-cert/],
    [['--tls-cert', path('none'), '--tls-key', path('another.key')], /cannot open .*none/],
    [['--tls-cert', path('empty'), '--tls-key', path('another.key')], /holds no certificates in PEM form/],
    [['--tls-cert', path('another.crt'), '--tls-key', path('another.crt')], /holds no private key in PEM form/],
    [['--tls-cert', path('another.crt'), '--tls-key', path('locked.key')], /holds no private key in PEM form/],
    [['--tls-cert', path('another.crt'), '--tls-key', path('ca.key')], /is not one of the key in/],
  ]
  for (const [args, why] of refused) {
    const { code, output } = await runWeir(['serve', '--listen', '127.0.0.1:0', '--data', path('data'), '--auth', 'none', ...args])
    assert.notEqual(code, 0)
    assert.match(output, why)
    assert.match(output, /hint|cannot open/)
    assert.doesNotMatch(output, /PRIVATE KEY/)
  }
})
