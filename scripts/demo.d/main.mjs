// The demo: starts the system, tells the story, checks it or goes on until Ctrl-C. scripts/demo has
// the options.

import { isDeepStrictEqual, parseArgs } from 'node:util'
import { bold, dim, print, printCopies, printStep, printVerdict, say } from './screen.mjs'
import { STEPS, USERS, copyInSql } from './story.mjs'
import { Copy, Stream, pause, readAll } from './stream.mjs'
import { DemoError, System, findPort } from './system.mjs'

const STEP_DEADLINE_MS = 30_000
const READING_MS = 2500
const SETTLE_MS = 60

const { values: options } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    dir: { type: 'string' },
    weir: { type: 'string' },
    port: { type: 'string' },
    'pg-port': { type: 'string' },
    'app-port': { type: 'string' },
  },
})

const inWords = (event) => `${event.headers.operation} ${event.type} ${event.key}`

/** A user, the stream, and what came since the last look. */
class View {
  #seen = 0
  #before = new Map()

  constructor(user, root) {
    this.user = user
    this.stream = new Stream(root, `user/${user.id}/data`)
  }

  get latest() {
    return this.stream.events.slice(this.#seen)
  }

  /** The rows that went since the last look, as they were then. */
  get removed() {
    return [...this.#before].filter(([id]) => !this.stream.copy.rows.has(id)).map(([, row]) => row)
  }

  look() {
    this.#seen = this.stream.events.length
    this.#before = new Map(this.stream.copy.rows)
  }
}

/** Waits until so many events have come to each view as the step should bring. */
async function arrival(views, expect, system) {
  const isThere = () => views.every((view) => view.latest.length >= expect[view.user.id].length)
  const deadline = Date.now() + STEP_DEADLINE_MS
  const failure = system.failure()
  failure.catch(() => {})
  while (!isThere() && Date.now() < deadline) await Promise.race([pause(5), failure])
}

/** What of the step's events is missing, and what came that should not. */
function compare(step, view) {
  const expected = [...step.expect[view.user.id]]
  const problems = []
  for (const words of view.latest.map(inWords)) {
    const index = expected.indexOf(words)
    if (index >= 0) expected.splice(index, 1)
    else problems.push(`${step.title}: ${view.user.name} got what is not expected: ${words}`)
  }
  return [...problems, ...expected.map((words) => `${step.title}: ${view.user.name} did not get: ${words}`)]
}

async function tell(system, views) {
  const problems = []
  for (const [index, step] of STEPS.entries()) {
    if (index > 0 && !options.once) await Promise.race([pause(READING_MS), system.failure()])
    printStep(index + 1, step)
    if (step.sql) await system.sql(step.sql)
    await arrival(views, step.expect, system)
    printCopies(views, { withDelay: Boolean(step.sql) })
    problems.push(...views.flatMap((view) => compare(step, view)))
    for (const view of views) view.look()
  }
  return problems
}

const sorted = (rows) => [...rows].sort((a, b) => (Copy.id(a) < Copy.id(b) ? -1 : 1))

/** The whole once more, as a client sees it that comes now: the streams read from their beginning
 * hold the story's events in the story's order, and fold to what SQL says. The last step's events
 * are there, so whatever the steps before it caused is there too. */
async function checkWhole(system, view) {
  const problems = []
  const events = await readAll(view.stream.url)
  const expected = STEPS.map((step) => step.expect[view.user.id]).filter((list) => list.length > 0)
  for (const list of expected) {
    const part = events.splice(0, list.length).map(inWords)
    if (!isDeepStrictEqual(part.sort(), [...list].sort())) problems.push(`${view.stream.path}, read again: ${part.join(', ')} instead of ${list.join(', ')}`)
  }
  if (events.length > 0) problems.push(`${view.stream.path}, read again: ${events.map(inWords).join(', ')} too many`)
  const rows = JSON.parse(await system.sql(copyInSql(view.user.id)))
  const wanted = rows.map((row) => (row.type === 'members' ? { ...row, key: JSON.stringify(JSON.parse(row.key)) } : row))
  if (!isDeepStrictEqual(sorted(view.stream.copy.rows.values()), sorted(wanted))) problems.push(`${view.user.name}’s copy is not what SQL says`)
  return problems
}

function printInvitation(system, views) {
  print()
  print(bold('Now you.') + ' In a browser:')
  print()
  if (system.app) print(`    ${bold(system.app)}    ${dim('Ana and Bo side by side: add, move, share, go offline')}`)
  print(`    ${bold(system.console)}    ${dim('lag, streams, and why somebody sees a row')}`)
  print()
  print('In another terminal:')
  print()
  print(`    ${bold(system.psql)}`)
  print(`    INSERT INTO members VALUES (2, 'bo', 'member');   ${dim('-- the party is no surprise any more')}`)
  print(`    SELECT name, audience FROM weir.rules;            ${dim('-- who may see what')}`)
  print(`    UPDATE weir.rules SET audience = 'SELECT u.id FROM users u' WHERE relation = 'todos'::regclass;`)
  print()
  for (const { stream } of views) print(`    curl '${stream.url}?offset=-1'`)
  print(`    curl -N '${views[0].stream.url}?offset=now&live=sse'`)
  print()
  print(dim(`    logs in ${system.dir}; Ctrl-C ends everything`))
}

/** Shows what comes until the system fails or the demo is ended. */
async function watch(system, views) {
  let timer
  const show = () => {
    printCopies(views)
    for (const view of views) view.look()
  }
  for (const view of views)
    view.stream.onEvents = () => {
      clearTimeout(timer)
      timer = setTimeout(show, SETTLE_MS)
    }
  await system.failure()
}

async function choosePort(name, usual) {
  const wanted = options[name] ?? (options.once ? 0 : usual)
  if (!/^\d{1,5}$/.test(String(wanted)) || Number(wanted) > 65535) throw new DemoError(`--${name} ${wanted} is no port`)
  const port = await findPort(Number(wanted))
  if (options[name] !== undefined && port !== Number(wanted)) throw new DemoError(`--${name} ${wanted}: the port is taken`)
  return port
}

async function play(system) {
  await system.start()
  const views = USERS.map((user) => new View(user, system.root))
  const following = views.map((view) => view.stream.follow())
  const failed = Promise.all(following).then(() => new Promise(() => {}))
  try {
    const problems = await Promise.race([tell(system, views), failed])
    if (problems.length === 0) for (const view of views) problems.push(...(await checkWhole(system, view)))
    printVerdict(problems)
    if (problems.length > 0) print(system.logs())
    if (options.once) return problems.length === 0 ? 0 : 1
    printInvitation(system, views)
    await Promise.race([watch(system, views), failed])
  } finally {
    for (const view of views) view.stream.stop()
  }
}

/** Resolves on the first of the signals that end the demo. */
const ended = new Promise((done) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => done(signal === 'SIGINT' && !options.once ? 0 : 1))
})

async function main() {
  const system = new System({
    weir: options.weir,
    dir: options.dir,
    port: await choosePort('port', 4437),
    pgPort: await choosePort('pg-port', 54437),
    appPort: await choosePort('app-port', 4438),
  })
  let isFine = false
  try {
    const code = await Promise.race([play(system), ended])
    isFine = code === 0
    return code
  } finally {
    print()
    say('ending what was started')
    await system.stop({ keep: options.keep || !isFine })
  }
}

try {
  process.exit(await main())
} catch (error) {
  console.error(error instanceof DemoError ? `demo: ${error.message}` : error)
  process.exit(1)
}
