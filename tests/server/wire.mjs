// Requests byte by byte, and what comes back.
import { connect } from 'node:net'

// All that comes until the server closes the connection.
export async function exchange(daemon, bytes) {
  const socket = connect(daemon.port, '127.0.0.1')
  socket.end(bytes)
  let received = ''
  for await (const chunk of socket) received += chunk.toString('latin1')
  return received
}

export const lines = (...parts) => parts.join('\r\n')
export const statusesOf = (received) => [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]))
export const statusOf = (received) => statusesOf(received)[0]
