// What the demo prints: steps, SQL, and the users' copies in columns, with colours on a terminal.

import { Copy } from './stream.mjs'
import { WORDS } from './story.mjs'

const hasColour = process.stdout.isTTY && !process.env.NO_COLOR
const style = (codes) => (text) => (hasColour && text !== '' ? `\x1b[${codes}m${text}\x1b[0m` : text)
export const bold = style('1')
export const dim = style('2')
const green = style('32')
const yellow = style('33')
const red = style('31')
const cyan = style('36')

const KEYWORDS = /\b(INSERT INTO|VALUES|UPDATE|SET|WHERE|AND|DELETE FROM|BEGIN|COMMIT|ROLLBACK)\b/g
const MARKS = {
  insert: { mark: '+', colour: green },
  update: { mark: '~', colour: yellow },
  delete: { mark: '−', colour: red },
  none: { mark: ' ', colour: (text) => text },
}
const TYPES = Object.keys(WORDS)
const INDENT = '    '

export const print = (text = '') => process.stdout.write(`${text}\n`)
export const say = (text) => print(`${cyan('▸')} ${text}`)

const totalWidth = () => Math.max(60, Math.min(process.stdout.columns ?? 100, 110))
const columnWidth = () => Math.floor((totalWidth() - INDENT.length - 3) / 2)

export function printStep(number, { title, text, sql }) {
  print()
  const head = `${number}  ${title} `
  print(cyan(bold(head)) + dim('─'.repeat(Math.max(0, totalWidth() - head.length))))
  if (text) print(INDENT + dim(text))
  if (sql) {
    print()
    for (const line of sql.split('\n')) print(INDENT + line.replace(KEYWORDS, (word) => bold(word)))
  }
}

/** Fits text into a column: cut with an ellipsis, or filled up. */
function fit(text, width) {
  const characters = [...text]
  return characters.length > width ? `${characters.slice(0, width - 1).join('')}…` : text + ' '.repeat(width - characters.length)
}

/** A user's copy as lines, the rows that the latest events touched marked; a deleted row is shown
 * this once, as it was. */
function copyLines(stream, latest, removed, width) {
  const touched = new Map(latest.map((event) => [Copy.id(event), event.headers.operation]))
  const rows = [...stream.copy.rows.values(), ...removed].sort(
    (a, b) => TYPES.indexOf(a.type) - TYPES.indexOf(b.type) || (a.key < b.key ? -1 : Number(a.key > b.key)),
  )
  let previous
  const lines = rows.map((row) => {
    const { mark, colour } = MARKS[touched.get(Copy.id(row)) ?? 'none']
    const type = row.type === previous ? '' : row.type
    previous = row.type
    const words = WORDS[row.type] ? WORDS[row.type](row.value) : JSON.stringify(row.value)
    return colour(fit(`${mark} ${type.padEnd(9)} ${words}`, width))
  })
  if (stream.copy.rows.size === 0) lines.push(dim(fit(stream.events.length === 0 ? '  no stream yet' : '  (empty)', width)))
  return lines
}

/** How long after its commit the last of these events was here, by this machine's clock. */
function delayOf(events) {
  if (events.length === 0) return 'nothing arrived'
  const last = events.at(-1)
  const ms = last.arrived - Date.parse(last.headers.timestamp)
  const count = events.length === 1 ? '1 event' : `${events.length} events`
  return Number.isFinite(ms) ? `${count}, ${Math.max(ms, 0).toFixed(0)} ms after the commit` : count
}

/** views: [{user, stream, latest, removed}], side by side. */
export function printCopies(views, { withDelay = true } = {}) {
  const width = columnWidth()
  const columns = views.map(({ user, stream, latest, removed }) => [
    bold(fit(`${user.name}’s copy`, width)),
    dim(fit(stream.path, width)),
    ...copyLines(stream, latest, removed, width),
    ...(withDelay ? [dim(fit(delayOf(latest), width))] : []),
  ])
  const height = Math.max(...columns.map((lines) => lines.length))
  print()
  for (let i = 0; i < height; i++) {
    const cells = columns.map((lines) => lines[i] ?? ' '.repeat(width))
    print((INDENT + cells.join(dim(' │ '))).trimEnd())
  }
}

export function printVerdict(problems) {
  print()
  for (const problem of problems) print(`${red('✗')} ${problem}`)
  if (problems.length === 0) print(`${green('✓')} every expected event arrived, no other did, and both copies are what SQL says`)
}
