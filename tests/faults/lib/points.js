// The named steps, as the program has them.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const TABLE = fileURLToPath(new URL('../../../include/weir/base/fault_points.h', import.meta.url))

/** [{daemon, name, canFail}] */
export const POINTS = [...readFileSync(TABLE, 'utf8').matchAll(/^ +X\(\w+, (\w+), "([\w.]+)", (FAILS|GOES_ON)\)/gm)]
  .map(([, daemon, name, kind]) => ({ daemon, name, canFail: kind === 'FAILS' }))

export const pointsOf = (daemon) => POINTS.filter((point) => point.daemon === daemon).map(({ name }) => name)
