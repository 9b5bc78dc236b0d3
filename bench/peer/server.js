// The reference stream server, in memory. usage: node server.js PORT

import { DurableStreamTestServer } from '../packages.js'

await new DurableStreamTestServer({ port: Number(process.argv[2]), host: '127.0.0.1' }).start()
process.on('SIGTERM', () => process.exit(0))
console.log('ready')
