// The reference stream server, in memory or on disk. usage: node server.js PORT [DATA_DIR]

import { DurableStreamTestServer } from '../packages.js'

const [port, dataDir] = process.argv.slice(2)
await new DurableStreamTestServer({ port: Number(port), host: '127.0.0.1', ...(dataDir && { dataDir }) }).start()
process.on('SIGTERM', () => process.exit(0))
console.log('ready')
