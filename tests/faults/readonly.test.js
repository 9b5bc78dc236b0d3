// Disks that take no more writes at all: a file system that the kernel has made read-only, one that was
// mounted so, and a device where everything fails from some call on. A daemon ends and says why, or waits; what it
// has answered is there when the disk is mended. WEIR_SEED repeats a run.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { seedFromEnvironment } from '../e2e/lib/random.js'
import { shareCluster } from '../e2e/lib/shared_cluster.js'
import { until } from '../e2e/lib/wait.js'
import { runWeir } from '../e2e/lib/weir.js'
import { failingCalls } from './lib/disk.js'
import { withWorld } from './lib/world.js'

const cluster = shareCluster('readonly')
const LONG = process.env.WEIR_LONG === '1'
const seed = seedFromEnvironment()
console.log(`WEIR_SEED=${seed}`)

const run = (program, ...args) => execFileSync(program, args, { stdio: 'pipe' })

/** An ext4 of our own at the folder, on a file beside it. */
class Image {
  constructor(world, folder) {
    this.file = `${folder}.ext4`
    this.folder = folder
    const fd = openSync(this.file, 'w')
    ftruncateSync(fd, 256 << 20)
    closeSync(fd)
    run('mkfs.ext4', '-q', '-F', this.file)
    mkdirSync(folder, { recursive: true })
    this.mount('rw')
    world.stack.workspace.onClose(async () => {
      await Promise.all([world.kill('bridge'), world.kill('server')])
      run('umount', folder)
    })
  }

  mount(how) {
    run('mount', '-o', `loop,${how}`, this.file, this.folder)
  }

  /** What the kernel does by itself when the file system turns out to be damaged. */
  abort() {
    run('mount', '-o', 'remount,abort', this.folder)
  }

  mend() {
    run('umount', this.folder)
    try {
      run('e2fsck', '-fy', this.file)
    } catch (error) {
      if (error.status > 1) throw error // 1: what was wrong has been mended
    }
    this.mount('rw')
  }

  remount(how) {
    run('umount', this.folder)
    this.mount(how)
  }
}

function canMount() {
  const folder = mkdtempSync(join(tmpdir(), 'weir-readonly-'))
  try {
    const image = new Image({ stack: { workspace: { onClose() {} } } }, `${folder}/disk`)
    run('umount', image.folder)
    return true
  } catch {
    return false
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const skip = canMount() ? false : 'mounting a loop device is not allowed here'
const folderOf = (world, name) => (name === 'server' ? world.server.dataDir : world.bridge.stateDir)

async function untilEnd(world, name, work) {
  for (let i = 0; i < 30 && world.daemon(name).isRunning(); i++) await work()
  await until(`the ${name} to end`, () => !world.daemon(name).isRunning(), { deadlineMs: 60_000 })
  const { code, signal } = await world.daemon(name).child.exited()
  const how = signal ?? code
  assert.ok(how === 'SIGABRT' || how === 'SIGBUS' || how === 1, `ended with ${how}`)
}

for (const name of ['server', 'bridge']) {
  test(`the ${name}'s file system becomes read-only: it ends and says so, and nothing is lost`, { skip }, async () => {
    await withWorld(`readonly-${name}`, seed, async (world) => {
      const disk = new Image(world, folderOf(world, name))
      world.disks[name].environment = () => ({})
      await world.begin()
      for (let round = 0; round < (LONG ? 8 : 2); round++) {
        await world.transactions(world.random.between(1, 5))
        const before = world.daemon(name).log(1e5).length
        disk.abort()
        await untilEnd(world, name, () => world.transaction())
        assert.match(world.daemon(name).log(1e5).slice(before), /Read-only file system|a mapped file cannot be read or has no room|Input\/output error/)
        disk.mend()
        await world.verify()
      }
      // Where it is so from the beginning, it does not start.
      await world.kill('bridge')
      await world.kill('server')
      disk.remount('ro')
      const refused = await runWeir(name === 'server' ? world.server.command() : world.bridge.args)
      assert.equal(refused.code, 1)
      assert.match(refused.output, /Read-only file system/)
      disk.remount('rw')
      await world.verify()
    }, { cluster: cluster() })
  })

  test(`the ${name}'s disk fails for good, from some call on`, async () => {
    await withWorld(`eio-${name}`, seed + 1, async (world) => {
      await world.begin()
      for (const kind of ['write', 'sync', 'open', 'truncate']) {
        for (const error of kind === 'sync' ? ['EIO'] : ['EIO', 'EROFS']) {
          await world.kill(name)
          const before = readFileSync(world.stack.workspace.path(world.daemon(name).logName), 'utf8').length
          await world.start(name, failingCalls(world.disk(name).root, `${kind}:${world.random.between(1, 12)}+=${error}`), { waits: false })
          // It may have no more such calls to make, or go on without.
          for (let i = 0; i < 6 && world.daemon(name).isRunning(); i++) await world.transaction()
          const said = () => readFileSync(world.stack.workspace.path(world.daemon(name).logName), 'utf8').slice(before)
          if (!world.daemon(name).isRunning()) {
            const { code, signal } = await world.daemon(name).child.exited()
            assert.ok(code === 1 || signal === 'SIGABRT', `${kind} ${error}: ended with ${signal ?? code}`)
            assert.match(said(), error === 'EIO' ? /Input\/output error/ : /Read-only file system/, `${kind} ${error}`)
          }
          await world.kill(name)
          await world.verify()
        }
      }
    }, { cluster: cluster(), traffic: { truncate: false } })
  })
}
