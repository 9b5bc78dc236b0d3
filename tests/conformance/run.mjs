// Starts `weir serve` on a free port with an empty folder, runs the official suite against it, stops
// it, and exits with what the suite says; a server that does not stop cleanly is a failure too.
// usage: node run.mjs WEIR [vitest arguments]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [weir, ...vitestArguments] = process.argv.slice(2)
const here = dirname(fileURLToPath(import.meta.url))
const longPollMs = 500

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}

async function isReady(url) {
  try {
    return (await fetch(`${url}/readyz`)).ok
  } catch {
    return false
  }
}

const folder = await mkdtemp(join(tmpdir(), 'weir-conformance-'))
const port = await freePort()
const url = `http://127.0.0.1:${port}`
const server = spawn(
  weir,
  ['serve', '--listen', `127.0.0.1:${port}`, '--data', join(folder, 'data'), '--auth', 'none',
    '--long-poll-timeout', `${longPollMs}ms`, '--log-level', 'warn'],
  { stdio: 'inherit' },
)
const stopped = once(server, 'exit')
while (server.exitCode === null && server.signalCode === null && !(await isReady(url))) {
  await new Promise((resolve) => setImmediate(resolve))
}

const suite = spawn(
  process.execPath,
  [join(here, 'node_modules/vitest/vitest.mjs'), 'run', ...vitestArguments],
  {
    cwd: here,
    stdio: 'inherit',
    env: {
      ...process.env,
      WEIR_CONFORMANCE_URL: url,
      WEIR_CONFORMANCE_LONG_POLL_MS: String(longPollMs),
    },
  },
)
const [suiteCode] = await once(suite, 'exit')
server.kill('SIGTERM')
const [serverCode] = await stopped
await rm(folder, { recursive: true })
if (serverCode !== 0) console.error(`weir serve ended with ${serverCode}`)
process.exit(suiteCode === 0 && serverCode === 0 ? 0 : 1)
