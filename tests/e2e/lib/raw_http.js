// HTTP as bytes on a path: fetch() would tidy `..` and `%2E%2E` away before they reach the server.

import http from 'node:http'

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

/** {status, headers, body: Buffer}. `url` is only host and port; `path` goes out as it is. */
export function request(url, path, { method = 'GET', headers = {}, body } = {}) {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const req = http.request({ hostname, port, path, method, headers, agent, timeout: 60_000 }, (res) => {
      const chunks = []
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('error', reject)
      res.on('aborted', () => reject(new Error('response cut off')))
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks) }))
    })
    req.on('timeout', () => req.destroy(new Error(`no answer to ${method} ${path}`)))
    req.on('error', reject)
    req.end(body)
  })
}

/** One path segment: a subject in a stream's path. */
export function segment(text) {
  const encoded = encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return encoded === '.' || encoded === '..' ? encoded.replaceAll('.', '%2E') : encoded
}
