// The npm packages of the peers, which tests/package.json pins.

import { createRequire } from 'node:module'

const require = createRequire(new URL('../tests/package.json', import.meta.url))

export const { Pool } = require('pg')
export const { LogicalReplicationService, Wal2JsonPlugin } = require('pg-logical-replication')
export const { DurableStream } = require('@durable-streams/client')
export const { DurableStreamTestServer } = require('@durable-streams/server')
