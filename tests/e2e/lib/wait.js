// Waiting for conditions: nothing in the suites sleeps, everything waits until something is so, and
// every wait has a deadline after which it says what it waited for.

const PAUSE_BETWEEN_TRIES_MS = 15

/** Calls `condition` until it gives something truthy, and returns that. */
export async function until(what, condition, { deadlineMs = 60_000 } = {}) {
  const end = Date.now() + deadlineMs
  let last
  for (;;) {
    try {
      const result = await condition()
      if (result) return result
      last = undefined
    } catch (error) {
      if (error.isFinal) throw error
      last = error
    }
    if (Date.now() > end) {
      const why = last ? `: ${last.message}` : ''
      throw new Error(`waited ${deadlineMs} ms in vain for ${what}${why}`)
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_BETWEEN_TRIES_MS))
  }
}

/** An error that `until` does not retry. */
export function final(message) {
  return Object.assign(new Error(message), { isFinal: true })
}

/** Settles as `promise` does, or fails when the deadline comes first. */
export function within(ms, what, promise) {
  let timer
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms)
  })
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer))
}
