// The servers that bench/run server compares: each started on a port and a folder of its own.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Child } from '../tests/e2e/lib/process.js'
import { request } from '../tests/e2e/lib/raw_http.js'
import { final, until } from '../tests/e2e/lib/wait.js'
import { freePort } from '../tests/e2e/lib/workspace.js'
import { weirProgram } from '../tests/e2e/lib/weir.js'

const REFERENCE = fileURLToPath(new URL('peer/server.js', import.meta.url))

/** What `nginx -v` says; null where there is none. */
export function nginxVersion() {
  try {
    return /nginx\/\S+/.exec(execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }))[0]
  } catch {
    return null
  }
}

/** One worker, which is the process itself, and otherwise what nginx does by default with files. */
const nginxConfiguration = (port, folder) => `
daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/json;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server { listen 127.0.0.1:${port}; root ${folder}; }
}`

const COMMANDS = {
  weir: (port, folder) => [weirProgram(), ['serve', '--listen', `127.0.0.1:${port}`, '--data', folder, '--auth', 'none']],
  memory: (port) => [process.execPath, [REFERENCE, port]],
  file: (port, folder) => [process.execPath, [REFERENCE, port, folder]],
  nginx: (port, folder) => {
    writeFileSync(`${folder}/nginx.conf`, nginxConfiguration(port, folder))
    return ['nginx', ['-p', folder, '-c', `${folder}/nginx.conf`, '-e', `${folder}/error.log`]]
  },
}

let count = 0

export class Target {
  /** name: weir, memory, file (the reference server), nginx. */
  static async start(workspace, name) {
    const target = new Target()
    target.name = name
    target.workspace = workspace
    target.folder = workspace.path(`target-${++count}`)
    mkdirSync(target.folder)
    target.port = await freePort()
    target.url = `http://127.0.0.1:${target.port}`
    workspace.onClose(() => target.stop())
    await target.#launch()
    return target
  }

  get pid() {
    return this.child.pid
  }

  async #launch() {
    const logFile = `${this.folder}.log`
    const [program, args] = COMMANDS[this.name](String(this.port), this.folder)
    this.child = new Child(program, args, { logFile })
    await until(`${this.name} to answer`, async () => {
      if (!this.child.isRunning()) throw final(`${this.name} ended:\n${readFileSync(logFile, 'utf8')}`)
      return (await request(this.url, '/')).status > 0
    })
  }

  /** Stops and starts it with what it has kept. */
  async restart() {
    await this.stop()
    await this.#launch()
  }

  async stop() {
    if (this.child.isRunning()) await this.child.stop()
  }

  /** Resident memory now, without the pages of files, in bytes. */
  memory() {
    return Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]) * 1024
  }
}
