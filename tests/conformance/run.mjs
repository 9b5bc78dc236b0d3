// Starts `weir serve` on a free port with an empty folder and runs the official suite against it; then
// kills it, starts it on what it has left, runs the suite once more, and stops it. Exits with what the
// suite says; a server that does not start again or does not stop cleanly is a failure too.
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

async function start(port, data) {
  const server = spawn(
    weir,
    ['serve', '--listen', `127.0.0.1:${port}`, '--data', data, '--auth', 'none',
      '--long-poll-timeout', `${longPollMs}ms`, '--log-level', 'warn',
      '--webhooks', '--webhook-loopback'],
    { stdio: 'inherit' },
  )
  server.stopped = once(server, 'exit')
  while (!(await isReady(`http://127.0.0.1:${port}`))) {
    if (server.exitCode !== null || server.signalCode !== null)
      throw new Error('weir serve has ended')
    await new Promise((resolve) => setImmediate(resolve))
  }
  return server
}

async function runSuite(port) {
  const suite = spawn(
    process.execPath,
    [join(here, 'node_modules/vitest/vitest.mjs'), 'run', ...vitestArguments],
    {
      cwd: here,
      stdio: 'inherit',
      env: {
        ...process.env,
        WEIR_CONFORMANCE_URL: `http://127.0.0.1:${port}`,
        WEIR_CONFORMANCE_LONG_POLL_MS: String(longPollMs),
      },
    },
  )
  return (await once(suite, 'exit'))[0] === 0
}

const folder = await mkdtemp(join(tmpdir(), 'weir-conformance-'))
const port = await freePort()
let isGood = true
for (const signal of ['SIGKILL', 'SIGTERM']) {
  const server = await start(port, join(folder, 'data'))
  isGood = (await runSuite(port)) && isGood
  server.kill(signal)
  const [code] = await server.stopped
  if (signal === 'SIGTERM' && code !== 0) {
    console.error(`weir serve ended with ${code}`)
    isGood = false
  }
}
await rm(folder, { recursive: true })
process.exit(isGood ? 0 : 1)
