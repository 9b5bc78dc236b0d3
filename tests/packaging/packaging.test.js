// An installation, its units and manual pages, and the Debian package, in folders of their own.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import test, { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Child } from '../e2e/lib/process.js'
import { request } from '../e2e/lib/raw_http.js'
import { until } from '../e2e/lib/wait.js'
import { runWeir, weirProgram } from '../e2e/lib/weir.js'
import { Workspace, freePort } from '../e2e/lib/workspace.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BUILD = process.env.WEIR_BUILD ?? `${ROOT}/build/release`
const has = (program) => spawnSync(program, ['--version']).error === undefined
const run = (program, args, options) => execFileSync(program, args, { encoding: 'utf8', ...options })

let workspace
let prefix

before(() => {
  workspace = new Workspace('packaging')
  prefix = workspace.path('usr', 'local')
  run('cmake', ['--install', BUILD, '--prefix', prefix])
})

after(() => workspace.close())

const UNITS = ['weir-serve.service', 'weir-bridge.service']
const unit = (name) => readFileSync(`${prefix}/lib/systemd/system/${name}`, 'utf8')

test('the program runs from where it was installed, and SQL, pages and documentation are beside it', () => {
  assert.match(run(`${prefix}/bin/weir`, ['--version']), /^weir \d+\.\d+\.\d+$/m)
  assert.deepEqual(readdirSync(`${prefix}/share/weir/sql`).sort(), readdirSync(`${ROOT}/sql`).sort())
  for (const page of ['README.md', 'operations.md', 'troubleshooting.md', 'decisions/dependencies.md', 'copyright']) readFileSync(`${prefix}/share/doc/weir/${page}`)
})

test('each option has its place in a manual page, and the pages are sound', async () => {
  const { output } = await runWeir(['--help'])
  const commands = [...output.matchAll(/^ {2}(\w+) {2,}/gm)].map(([, name]) => name)
  assert.ok(commands.length >= 6)
  assert.deepEqual(readdirSync(`${prefix}/share/man/man1`).sort(), ['weir.1', ...commands.map((name) => `weir-${name}.1`)].sort())
  for (const command of commands) {
    const page = readFileSync(`${prefix}/share/man/man1/weir-${command}.1`, 'utf8').replaceAll('\\-', '-')
    const options = [...(await runWeir([command, '--help'])).output.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, name]) => name)
    assert.ok(options.length > 0)
    assert.deepEqual(options.filter((name) => !page.includes(`\n\\fB${name}\\fR`)), [], command)
  }
  if (!has('groff')) return
  for (const page of readdirSync(`${prefix}/share/man/man1`)) {
    const { stdout, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-rF0', `${prefix}/share/man/man1/${page}`], { encoding: 'utf8' })
    assert.equal(stderr, '', page)
    assert.match(stdout.replace(/.\u0008/g, ''), /OPTIONS|COMMANDS/)
  }
})

test('the units name the installed program and files, and systemd has no complaint', (t) => {
  for (const name of UNITS) {
    const text = unit(name)
    assert.doesNotMatch(text, /@[A-Z]+@/)
    const [, program, command] = /^ExecStart=(\S+) (\w+)$/m.exec(text)
    assert.equal(program, `${prefix}/bin/weir`)
    const [, environment] = /^EnvironmentFile=(\S+)$/m.exec(text)
    assert.equal(environment, `${prefix}/etc/weir/${command}.env`)
    readFileSync(environment)
  }
  if (!has('systemd-analyze')) return t.diagnostic('systemd-analyze is not there')
  const paths = UNITS.map((name) => `${prefix}/lib/systemd/system/${name}`)
  const verified = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], { encoding: 'utf8' })
  assert.equal(verified.stderr + verified.stdout, '')
  assert.equal(verified.status, 0)
  for (const path of paths) {
    const { stdout, status } = spawnSync('systemd-analyze', ['security', '--offline=yes', '--threshold=30', path], { encoding: 'utf8' })
    const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout)
    if (exposure === null) return t.diagnostic('this systemd does not judge files')
    assert.equal(status, 0, exposure[0])
    t.diagnostic(exposure[0])
  }
})

/** The variables of an environment file as systemd reads it, with some lines no comments any more. */
function environment(file, without = /^$/) {
  const lines = readFileSync(file, 'utf8').split('\n').map((line) => line.replace(without, ''))
  return Object.fromEntries(lines.filter((line) => /^\w+=/.test(line)).map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1).replace(/^"(.*)"$/, '$1')]))
}

test('every variable of the environment files is an option, and both daemons take them', async () => {
  for (const command of ['serve', 'bridge']) {
    const { output } = await runWeir([command, '--help'])
    const known = new Set([...output.matchAll(/^ {2}--([\w-]+)/gm)].map(([, name]) => `WEIR_${name.toUpperCase().replaceAll('-', '_')}`))
    const named = Object.keys(environment(`${prefix}/etc/weir/${command}.env`, /^#(?=\w)/)).filter((name) => name !== 'PGPASSFILE')
    assert.ok(named.length >= 3)
    assert.deepEqual(named.filter((name) => !known.has(name)), [])
  }
  const port = await freePort()
  const env = { ...process.env, ...environment(`${prefix}/etc/weir/serve.env`), WEIR_LISTEN: `127.0.0.1:${port}`, WEIR_DATA: workspace.path('data') }
  const server = new Child(`${prefix}/bin/weir`, ['serve'], { logFile: workspace.path('serve.log'), env })
  await until('the installed server', async () => (await request(`http://127.0.0.1:${port}`, '/healthz')).status === 200)
  assert.deepEqual(await server.stop(), { code: 0, signal: null })
})

test('a second installation keeps what was edited', () => {
  const file = `${prefix}/etc/weir/serve.env`
  writeFileSync(file, 'WEIR_AUTH=jwt\n')
  run('cmake', ['--install', BUILD, '--prefix', prefix])
  assert.equal(readFileSync(file, 'utf8'), 'WEIR_AUTH=jwt\n')
})

test('the Debian package: what is in it, what it needs, and that it runs', (t) => {
  for (const tool of ['cpack', 'dpkg-deb', 'dpkg-shlibdeps']) if (!has(tool)) return t.skip(`${tool} is not there`)
  const out = workspace.path('deb')
  run('cpack', ['-G', 'DEB', '-B', out], { cwd: BUILD, stdio: 'pipe' })
  const [name] = readdirSync(out).filter((file) => file.endsWith('.deb'))
  assert.match(name, /^weir_\d+\.\d+\.\d+_\w+\.deb$/)
  const deb = `${out}/${name}`
  const files = run('dpkg-deb', ['-c', deb]).split('\n').map((line) => line.split(/\s+/)[5])
  for (const path of ['./usr/bin/weir', './usr/lib/systemd/system/weir-serve.service', './usr/lib/systemd/system/weir-bridge.service', './usr/lib/sysusers.d/weir.conf', './etc/weir/serve.env', './etc/weir/bridge.env', './usr/share/man/man1/weir-doctor.1', './usr/share/doc/weir/copyright']) assert.ok(files.includes(path), path)
  assert.deepEqual(files.filter((path) => path && !/^\.\/(usr|etc)\//.test(path) && path !== './'), [], 'nothing lands elsewhere')
  const field = (of) => run('dpkg-deb', ['-f', deb, of]).trim()
  for (const dependency of field('Depends').split(', ')) run('dpkg-query', ['-W', dependency.split(' ')[0]])
  for (const library of ['libpq5', 'libmicrohttpd12', 'libgnutls30', 'libcjose0']) assert.match(field('Depends'), new RegExp(library))
  run('dpkg-deb', ['-x', deb, workspace.path('root')])
  run('dpkg-deb', ['-e', deb, workspace.path('control')])
  assert.equal(run(workspace.path('root/usr/bin/weir'), ['--version']), run(weirProgram(), ['--version']))
  assert.match(readFileSync(workspace.path('root/usr/lib/systemd/system/weir-serve.service'), 'utf8'), /^ExecStart=\/usr\/bin\/weir serve\nEnvironmentFile=\/etc\/weir\/serve\.env$/m)
  assert.equal(readFileSync(workspace.path('control/conffiles'), 'utf8'), '/etc/weir/bridge.env\n/etc/weir/serve.env\n')
  for (const script of ['postinst', 'prerm', 'postrm']) run('sh', ['-n', workspace.path('control', script)])
})
