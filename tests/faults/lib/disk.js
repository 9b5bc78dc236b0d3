// What tests/faults/disk keeps, and the folder that a power loss makes of it.
//
// The model: what was synced is there. Of what was not, each 512-byte sector is there or not, as
// chance will have it. Names of a folder are there up to its last sync, and behind it up to some
// point in the order in which they were made and removed, as a journaling file system has it.

import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, fstatSync, ftruncateSync, mkdirSync, openSync, readFileSync, readSync, rmSync, statSync, writeSync, renameSync } from 'node:fs'
import { join } from 'node:path'

const SECTOR = 512
const LIBRARY = process.env.WEIR_FAULT_DISK

export class Disk {
  /** root: a folder that one daemon writes to, made here so that its own name is durable. */
  constructor(root) {
    if (!LIBRARY) throw new Error('WEIR_FAULT_DISK does not name the library of tests/faults/disk')
    this.root = root
    this.durable = `${root}.durable`
    mkdirSync(root, { recursive: true })
  }

  /** For a daemon that is started: what is not synced can be lost. */
  environment() {
    return { LD_PRELOAD: preload(), WEIR_DISK_ROOT: this.root, WEIR_DISK_DURABLE: this.durable }
  }

  /** It is gone, and there is a new one. */
  lose() {
    rmSync(this.root, { recursive: true })
    rmSync(this.durable, { recursive: true, force: true })
    mkdirSync(this.root)
  }

  /** The daemon is dead, and the machine with it: the folder becomes one that may have been left. */
  losePower(random) {
    if (!existsSync(join(this.durable, 'names'))) return // nothing has been written since it was made durable
    const names = this.#namesLeft(random)
    const lost = `${this.root}.lost`
    renameSync(this.root, lost)
    mkdirSync(this.root)
    const live = this.#liveFiles()
    for (const { folder, name, id } of names) {
      const to = join(this.root, folder, name)
      if (id === undefined) mkdirSync(to, { recursive: true })
      else this.#restore(id, to, live.get(id) && join(lost, live.get(id)), random)
    }
    rmSync(lost, { recursive: true })
    rmSync(this.durable, { recursive: true })
  }

  #journal() {
    return readFileSync(join(this.durable, 'names'), 'utf8').trimEnd().split('\n').map((line) => line.split('\t'))
  }

  /** [{folder, name, id}]; folders have no id. */
  #namesLeft(random) {
    const byFolder = new Map()
    for (const [operation, folder, name, id] of this.#journal()) {
      if (!byFolder.has(folder)) byFolder.set(folder, [])
      byFolder.get(folder).push({ operation, folder, name, id })
    }
    const left = new Map()
    for (const operations of byFolder.values()) {
      const synced = operations.findLastIndex(({ operation }) => operation === 'S') + 1
      const kept = random.chance(0.5) ? synced : random.between(synced, operations.length)
      for (const { operation, folder, name, id } of operations.slice(0, kept)) {
        if (operation === 'U') left.delete(join(folder, name))
        else if (operation !== 'S') left.set(join(folder, name), { folder, name, id })
      }
    }
    // What is in a folder whose own name is gone is gone.
    const all = [...left.values()]
    return all.filter(({ folder }) => folder === '.' || left.has(folder)).sort((a, b) => (a.id !== undefined) - (b.id !== undefined))
  }

  /** Where the file with this id is now, if it still has a name. */
  #liveFiles() {
    const live = new Map(), byPath = new Map()
    for (const [operation, folder, name, id] of this.#journal()) {
      if (operation === 'C') byPath.set(join(folder, name), id)
      else if (operation === 'U') byPath.delete(join(folder, name))
    }
    for (const [path, id] of byPath) if (id !== undefined) live.set(id, path)
    return live
  }

  #restore(id, to, livePath, random) {
    execFileSync('cp', ['--sparse=always', join(this.durable, `data.${id}`), to])
    if (!livePath || !existsSync(livePath) || random.chance(0.4)) return
    const odds = random.pick([0.05, 0.5, 0.95, 1])
    const from = openSync(livePath, 'r'), file = openSync(to, 'r+')
    const size = fstatSync(from).size
    if (random.chance(0.5)) ftruncateSync(file, size)
    const kept = fstatSync(file).size
    for (const [start, end] of dataRanges(livePath, Math.min(size, kept))) {
      const live = Buffer.alloc(end - start), old = Buffer.alloc(end - start)
      readSync(from, live, 0, live.length, start)
      readSync(file, old, 0, old.length, start)
      for (let at = 0; at < live.length; at += SECTOR) {
        const sector = live.subarray(at, at + SECTOR)
        if (!sector.equals(old.subarray(at, at + SECTOR)) && random.chance(odds)) writeSync(file, sector, 0, sector.length, start + at)
      }
    }
    closeSync(from)
    closeSync(file)
  }
}

/** Node has no SEEK_DATA. Files here begin with their data and end in a hole, so a megabyte of zeros
 * after what the file system has allocated is the end. */
function dataRanges(path, size) {
  const STEP = 1 << 20
  const allocated = statSync(path).blocks * 512
  const ranges = []
  const fd = openSync(path, 'r')
  const buffer = Buffer.alloc(STEP)
  const zeros = Buffer.alloc(STEP)
  for (let at = 0, found = 0; at < size && found <= allocated; at += STEP) {
    const len = readSync(fd, buffer, 0, Math.min(STEP, size - at), at)
    if (buffer.subarray(0, len).equals(zeros.subarray(0, len))) {
      if (ranges.length > 0) break
      continue
    }
    ranges.push([at, at + len])
    found += len
  }
  closeSync(fd)
  return ranges
}

/** Under a sanitizer its runtime has to come first. */
export function preload() {
  const first = process.env.WEIR_FAULT_PRELOAD_FIRST
  return first ? `${first} ${LIBRARY}` : LIBRARY
}

/** For a daemon of which the n-th call of a kind fails: "write:3=ENOSPC". */
export function failingCalls(root, what) {
  return { LD_PRELOAD: preload(), WEIR_DISK_ROOT: root, WEIR_DISK_FAIL: what }
}
