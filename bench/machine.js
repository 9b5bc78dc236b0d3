// What the numbers were measured on, and how much processor time a process took.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

const TICKS_PER_SECOND = 100 // USER_HZ, fixed on Linux

/** Seconds of processor time of a process and its threads so far; 0 when it is gone. */
export function cpuSeconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
  } catch {
    return 0
  }
}

export function residentMiB(pid) {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024
  } catch {
    return 0
  }
}

export function describeMachine() {
  const kernel = /^\d+\.\d+/.exec(release())[0]
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  return `${availableParallelism()} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${kernel}`
}

/** What else the machine was doing: the processes that wanted to run in the minute before. */
export const loadBefore = () => loadavg()[0].toFixed(1)

export function versionOf(program) {
  return execFileSync(program, ['--version'], { encoding: 'utf8' }).trim()
}
