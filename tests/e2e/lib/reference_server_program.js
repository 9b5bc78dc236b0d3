// usage: node reference_server_program.js PORT [DATA_DIR]

import { DurableStreamTestServer } from '@durable-streams/server'

const [port, dataDir] = process.argv.slice(2)
process.on('SIGTERM', () => process.exit(0))
await new DurableStreamTestServer({ port: Number(port), host: '127.0.0.1', longPollTimeout: 2000, ...(dataDir && { dataDir }) }).start()
