// The bridge's batch append, written from docs/protocol-extensions.md by other hands than the
// bridge's.

const CRC_TABLE = new Uint32Array(256).map((_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0x82f63b78 : n >>> 1
  return n >>> 0
})

export function crc32c(bytes) {
  let crc = 0xffffffff
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

const u16 = (value) => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}
const u32 = (value) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const u64 = (value) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
const short = (text) => [u16(Buffer.byteLength(text)), Buffer.from(text)]
const long = (text) => [u32(Buffer.byteLength(text)), Buffer.from(text)]

/** before, after: [lsn, step]; payloads: JSON texts; streams: paths; appends: [stream index,
 * [payload index, …]]. */
export function encodeBatch({ producer, epoch, before, after, payloads = [], streams = [], appends = [] }) {
  const body = Buffer.concat([
    u64(epoch), u64(before[0]), u64(before[1]), u64(after[0]), u64(after[1]), ...short(producer),
    u32(payloads.length), ...payloads.flatMap(long),
    u32(streams.length), ...streams.flatMap(short),
    u32(appends.length), ...appends.flatMap(([stream, references]) => [u32(stream), u32(references.length), ...references.map(u32)]),
  ])
  return Buffer.concat([Buffer.from('WEIRBAT1'), u32(crc32c(body)), body])
}
