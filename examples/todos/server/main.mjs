// The example's backend: its page, the tokens, and the writes. It never tells a browser what has
// changed: that comes out of Postgres through Weir.
//
//   DATABASE_URL       as libpq has it; or PGHOST and its like
//   STREAMS_URL        the root of streams as browsers reach it: http://127.0.0.1:4437/v1/stream
//   LISTEN             127.0.0.1:8080
//   AUTH_SECRET_FILE   the file of weir serve --auth-secret-file; without it, a secret of its own
//   TOKEN_LIFETIME     seconds: 300

import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { extname } from 'node:path'
import pg from 'pg'
import { Tokens } from './tokens.mjs'
import { findWrite } from './writes.mjs'

const { DATABASE_URL, STREAMS_URL = 'http://127.0.0.1:4437/v1/stream', LISTEN = '127.0.0.1:8080', AUTH_SECRET_FILE, TOKEN_LIFETIME = '300' } = process.env
const BODY_MAX = 10_000
const FOLDER = process.env.FILES ?? new URL('../', import.meta.url).pathname
const FILES = { '/': 'public/index.html', '/app.css': 'public/app.css', '/main.js': 'dist/main.js', '/icon.svg': 'public/icon.svg' }
const TYPES = { '.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml' }

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 5 })
pool.on('error', (error) => console.error(`Postgres: ${error.message}`))
const tokens = await Tokens.create({ secretFile: AUTH_SECRET_FILE, lifetimeS: Number(TOKEN_LIFETIME) })

class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

async function bodyOf(request) {
  let text = ''
  for await (const part of request) {
    text += part
    if (text.length > BODY_MAX) throw new Refused(413, 'that is too much')
  }
  try {
    return JSON.parse(text || '{}')
  } catch {
    throw new Refused(400, 'that is no JSON')
  }
}

/** Stands where your login stands: whoever names a user is that user. */
async function signIn({ user }) {
  const { rows } = await pool.query('SELECT id, name FROM users WHERE id = $1', [String(user)])
  if (rows.length === 0) throw new Refused(403, 'nobody is called that')
  return { ...rows[0], ...(await tokens.sign(rows[0].id)) }
}

/** One statement, one transaction; its id tells the browser when the stream has it. */
async function write(request, found) {
  const user = await tokens.subject(request.headers.authorization).catch(() => {
    throw new Refused(401, 'sign in again')
  })
  const { text, values } = found.statement({ user, ...(await bodyOf(request)), ...found.params })
  const { rows } = await pool.query(text, values)
  if (rows.length === 0) throw new Refused(409, found.otherwise)
  return { txid: rows[0].txid }
}

async function file(path, response) {
  const body = await readFile(FOLDER + FILES[path])
  response.writeHead(200, {
    'Content-Type': TYPES[extname(FILES[path])],
    'Cache-Control': 'no-cache',
    'Content-Security-Policy': `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ${new URL(STREAMS_URL).origin}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  })
  response.end(body)
}

function json(response, status, value) {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify(value))
}

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://example')
  const found = findWrite(request.method, pathname)
  if (found) json(response, 200, await write(request, found))
  else if (request.method === 'POST' && pathname === '/api/token') json(response, 200, await signIn(await bodyOf(request)))
  else if (request.method === 'GET' && pathname === '/api/config') json(response, 200, { streams: STREAMS_URL })
  else if (request.method === 'GET' && pathname === '/api/health') json(response, 200, (await pool.query('SELECT 1 AS alive')).rows[0])
  else if (request.method === 'GET' && Object.hasOwn(FILES, pathname)) await file(pathname, response)
  else throw new Refused(404, 'there is no such page')
}

/** What Postgres says of a value that is none: the writer's mistake, not ours. */
const isBadValue = ({ code }) => /^2[23]/.test(code ?? '')

const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    const status = error.status ?? (isBadValue(error) ? 400 : 500)
    if (status === 500) console.error(error)
    json(response, status, { error: status === 500 ? 'the example has failed; its log says why' : error.message })
  })
})

const at = LISTEN.lastIndexOf(':')
server.listen(Number(LISTEN.slice(at + 1)), LISTEN.slice(0, at), () => console.log(`http://${LISTEN}`))
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    server.close(() => pool.end())
    server.closeAllConnections()
  })
