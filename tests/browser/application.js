// The example of examples/todos with all that it takes: Postgres, both daemons with --auth jwt, and its
// backend.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Child } from '../e2e/lib/process.js'
import { request } from '../e2e/lib/raw_http.js'
import { Stack } from '../e2e/lib/stack.js'
import { until } from '../e2e/lib/wait.js'
import { freePort } from '../e2e/lib/workspace.js'

const FOLDER = fileURLToPath(new URL('../../examples/todos/', import.meta.url))
const sql = (name) => readFileSync(`${FOLDER}${name}.sql`, 'utf8')

export class Application {
  static async start({ tokenLifetime = 300 } = {}) {
    const app = new Application()
    execFileSync('npm', ['run', '-s', 'build'], { cwd: FOLDER, stdio: ['ignore', 'ignore', 'pipe'] })
    const { dir, ...secrets } = makeSecrets()
    app.stack = await Stack.create('example', {
      schema: sql('schema'),
      tables: [],
      rules: [],
      serverArgs: ['--auth', 'jwt', '--auth-leeway', '1s', '--auth-secret-file', secrets.auth, '--writer-token-file', secrets.writer],
      bridgeArgs: ['--streams-token-file', secrets.writer],
    })
    app.stack.workspace.onClose(() => execFileSync('rm', ['-r', dir]))
    app.db = app.stack.db
    await app.db.query(sql('rules'))
    await app.db.query(sql('data'))
    app.stack.bridge.start()
    app.authSecret = secrets.auth
    app.url = await app.serve(tokenLifetime)
    return app
  }

  /** A backend whose tokens live for so many seconds: its URL. */
  async serve(tokenLifetime) {
    const { workspace, cluster, server } = this.stack
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const child = new Child(process.execPath, [`${FOLDER}server/main.mjs`], {
      logFile: workspace.path(`example-${port}.log`),
      env: {
        ...process.env, PGHOST: '127.0.0.1', PGPORT: String(cluster.port), PGUSER: 'postgres', PGDATABASE: 'app', LISTEN: `127.0.0.1:${port}`,
        STREAMS_URL: server.streamsUrl, AUTH_SECRET_FILE: this.authSecret, TOKEN_LIFETIME: String(tokenLifetime),
      },
    })
    workspace.onClose(() => child.stop())
    await until('the example to answer', async () => (await request(url, '/api/health')).status === 200).catch((error) => {
      throw new Error(`${error.message}\n${workspace.tail(`example-${port}.log`)}`)
    })
    return url
  }

  close() {
    return this.stack.close()
  }
}

function makeSecrets() {
  const dir = execFileSync('mktemp', ['-d', '-t', 'weir-secrets-XXXXXX'], { encoding: 'utf8' }).trim()
  const make = (name) => {
    writeFileSync(`${dir}/${name}`, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600 })
    return `${dir}/${name}`
  }
  return { dir, auth: make('auth.secret'), writer: make('writer.token') }
}
