// A bit of a file that is another one than was written.

import { closeSync, openSync, readSync, writeSync } from 'node:fs'

export function flip(file, at, bit) {
  const fd = openSync(file, 'r+'), byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, at)
  byte[0] ^= 1 << bit
  writeSync(fd, byte, 0, 1, at)
  closeSync(fd)
}
