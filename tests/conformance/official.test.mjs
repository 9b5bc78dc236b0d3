// The official suite as it is published, against the server that run.mjs has started.
import { runConformanceTests } from '@durable-streams/server-conformance-tests'

runConformanceTests({
  baseUrl: process.env.WEIR_CONFORMANCE_URL,
  longPollTimeoutMs: Number(process.env.WEIR_CONFORMANCE_LONG_POLL_MS),
  subscriptions: process.env.WEIR_CONFORMANCE_SUBSCRIPTIONS === '1',
})
