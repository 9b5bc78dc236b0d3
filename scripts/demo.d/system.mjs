// What the demo runs: a Postgres of its own and the two daemons, and their end in the right order.

import { execFile, execFileSync, spawn } from 'node:child_process'
import { accessSync, chmodSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync, constants } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { say } from './screen.mjs'
import { pause } from './stream.mjs'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CLUSTER = join(ROOT, 'tests/support/pg_cluster.sh')
const EXAMPLE = join(ROOT, 'examples/todos')
const { scripts } = JSON.parse(readFileSync(join(EXAMPLE, 'package.json'), 'utf8'))
const [bundler, ...options] = scripts.build.split(' ')
const MARK = 'made-by-weir-demo'
const START_DEADLINE_MS = 20_000
const STOP_DEADLINE_MS = 15_000

export class DemoError extends Error {}

/** Run as root, Postgres belongs to the user postgres, who may not be able to reach the folder. */
function postgresCanReach(folder) {
  if (process.getuid() !== 0) return true
  try {
    execFileSync('setpriv', ['--reuid=postgres', '--regid=postgres', '--init-groups', 'test', '-x', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function isProgram(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function makeFolder(wanted) {
  let dir = resolve(wanted)
  if (existsSync(dir) && !existsSync(join(dir, MARK)) && readdirSync(dir).length > 0)
    throw new DemoError(`${dir} exists and was not made by a demo\nhint: name another folder with --dir`)
  mkdirSync(dirname(dir), { recursive: true })
  if (!postgresCanReach(dirname(dir))) {
    dir = mkdtempSync(join(tmpdir(), 'weir-demo-'))
    say(`the user postgres cannot reach ${dirname(resolve(wanted))}; using ${dir}`)
  }
  mkdirSync(dir, { recursive: true })
  chmodSync(dir, 0o755)
  writeFileSync(join(dir, MARK), '')
  return dir
}

const tail = (file) => (existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-15).join('\n') : '')

/** A loopback port: the wanted one if it is free; any free one otherwise, or for 0. */
export function findPort(wanted) {
  return new Promise((done, failed) => {
    const probe = createServer()
    probe.on('error', (error) => (wanted === 0 ? failed(error) : done(findPort(0))))
    probe.listen(wanted, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => done(port))
    })
  })
}

class Daemon {
  constructor(name, program, args, logFile, env = {}) {
    this.name = name
    this.logFile = logFile
    const log = openSync(logFile, 'w')
    // In a process group of its own: Ctrl-C reaches the demo alone, which ends things in order.
    this.child = spawn(program, args, { stdio: ['ignore', log, log], detached: true, env: { ...process.env, ...env } })
    closeSync(log)
    this.ended = new Promise((done) => {
      this.child.on('error', (error) => done(error.message))
      this.child.on('exit', (code, signal) => done(signal ?? `exit code ${code}`))
    })
  }

  /** Rejects when the daemon ends by itself. */
  async failure() {
    const how = await this.ended
    throw new DemoError(`${this.name} has ended: ${how}\n${tail(this.logFile)}`)
  }

  async stop() {
    this.child.kill('SIGTERM')
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_DEADLINE_MS)
    await this.ended
    clearTimeout(timer)
  }
}

export class System {
  #daemons = []
  #hasCluster = false

  constructor({ weir, dir, port, pgPort, appPort }) {
    Object.assign(this, { weir, port, pgPort, appPort })
    if (!isProgram(weir)) throw new DemoError(`${weir} is no program\nhint: scripts/build makes build/release/weir`)
    this.dir = makeFolder(dir)
    this.console = `http://127.0.0.1:${port}/console/`
    this.app = existsSync(join(EXAMPLE, 'node_modules')) ? `http://127.0.0.1:${appPort}` : undefined
    this.root = `http://127.0.0.1:${port}/v1/stream`
    this.conninfo = `host=127.0.0.1 port=${pgPort} user=postgres dbname=app`
    this.psql = `psql -h 127.0.0.1 -p ${pgPort} -U postgres app`
  }

  /** Postgres with the application in it, both daemons, and the application's own backend. */
  async start() {
    say(`Postgres on port ${this.pgPort}, in ${this.dir}`)
    await this.#startPostgres()
    say('the application: users, projects, members, todos; and weir install')
    await this.#file('schema.sql')
    await this.#weirInstall()
    await this.#file('rules.sql')
    await this.#file('data.sql')
    say(`weir serve on port ${this.port}, and weir bridge`)
    for (const name of ['streams', 'replica']) rmSync(join(this.dir, name), { recursive: true, force: true })
    this.#launch('serve', ['--listen', `127.0.0.1:${this.port}`, '--data', join(this.dir, 'streams'), '--auth', 'none'])
    await this.#answers('weir serve', `http://127.0.0.1:${this.port}/healthz`)
    this.#launch('bridge', ['--db', this.conninfo, '--streams', this.root, '--state', join(this.dir, 'replica')])
    if (this.app) await this.#startApp()
    else say('without the application in the browser: its npm packages are not there (scripts/deps --demo)')
  }

  async #startApp() {
    say(`the application in the browser on port ${this.appPort}`)
    try {
      await run(join(EXAMPLE, 'node_modules/.bin', bundler), options, { cwd: EXAMPLE })
    } catch (error) {
      throw new DemoError(`the application cannot be bundled\n${error.stderr}`)
    }
    const env = { DATABASE_URL: `postgres://postgres@127.0.0.1:${this.pgPort}/app`, STREAMS_URL: this.root, LISTEN: `127.0.0.1:${this.appPort}` }
    this.#daemons.push(new Daemon('application', process.execPath, [join(EXAMPLE, 'server/main.mjs')], join(this.dir, 'application.log'), env))
    await this.#answers('the application', `${this.app}/api/health`)
  }

  async #startPostgres() {
    this.#hasCluster = true
    try {
      // No unix socket: its path has a length limit that a folder somewhere may exceed.
      await run(CLUSTER, ['start', join(this.dir, 'postgres'), String(this.pgPort), "unix_socket_directories=''"])
    } catch (error) {
      throw new DemoError(`Postgres does not start\n${error.stderr}`)
    }
    await this.sql('CREATE DATABASE app', 'postgres')
  }

  async #weirInstall() {
    try {
      await run(this.weir, ['install', '--db', this.conninfo])
    } catch (error) {
      throw new DemoError(`weir install has failed\n${error.stderr}${error.stdout}`)
    }
  }

  #file = (name) => this.#psql(['-f', join(ROOT, 'examples/todos', name)])

  /** Runs SQL and gives what it prints. */
  sql = (text, database = 'app') => this.#psql(['-c', text], database)

  async #psql(args, database = 'app') {
    try {
      const flags = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', String(this.pgPort), '-U', 'postgres', '-d', database]
      const { stdout } = await run('psql', [...flags, ...args])
      return stdout.trim()
    } catch (error) {
      throw new DemoError(`psql: ${error.stderr ?? error.message}`)
    }
  }

  #launch(name, args) {
    this.#daemons.push(new Daemon(`weir ${name}`, this.weir, [name, ...args], join(this.dir, `${name}.log`)))
  }

  async #answers(name, url) {
    const deadline = Date.now() + START_DEADLINE_MS
    const isUp = () => fetch(url).then((response) => response.ok, () => false)
    while (!(await Promise.race([isUp(), this.failure()]))) {
      if (Date.now() > deadline) throw new DemoError(`${name} does not answer\n${this.logs()}`)
      await pause(50)
    }
  }

  /** Rejects when a daemon ends by itself; never resolves. */
  failure() {
    return Promise.race(this.#daemons.map((daemon) => daemon.failure()))
  }

  logs = () => this.#daemons.map(({ name, logFile }) => `${name}:\n${tail(logFile)}`).join('\n')

  /** Ends what was started, last first. Postgres's data goes in any case, all else unless keep. */
  async stop({ keep }) {
    for (const daemon of this.#daemons.reverse()) await daemon.stop()
    if (this.#hasCluster) await run(CLUSTER, ['stop', join(this.dir, 'postgres')])
    if (keep) say(`the logs and the streams are in ${this.dir}`)
    else rmSync(this.dir, { recursive: true, force: true })
  }
}
