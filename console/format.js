// Numbers and values for people.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

export const count = (number) => (Math.abs(number) < 100_000 ? whole.format(number) : short.format(number))

/** Three digits that matter. */
const few = (number) => (number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1).replace(/\.0$/, '') : number.toFixed(2).replace(/\.?0+$/, ''))

export const rate = (number) => (number >= 1000 ? short.format(number) : few(number))

export function bytes(number) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000
    unit++
  }
  return `${unit === 0 ? whole.format(number) : few(number)} ${units[unit]}`
}

export function seconds(number) {
  if (number === 0) return '0 s'
  if (number < 0.001) return `${few(number * 1e6)} µs`
  if (number < 1) return `${few(number * 1000)} ms`
  if (number < 120) return `${few(number)} s`
  if (number < 7200) return `${few(number / 60)} min`
  if (number < 172_800) return `${few(number / 3600)} h`
  return `${few(number / 86_400)} days`
}

/** A path of a stream for people: each segment as it is, unless that would look like another path. */
export const readable = (path) =>
  path
    .split('/')
    .map((segment) => {
      try {
        const text = decodeURIComponent(segment)
        return /^[^/%\p{C}]+$/u.test(text) && text.trim() === text && !/^\.+$/.test(text) ? text : segment
      } catch {
        return segment
      }
    })
    .join('/')

const clockTime = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const minute = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })

export const timeOfDay = (ms) => clockTime.format(ms)
export const hourAndMinute = (ms) => minute.format(ms)

/** A number with its digits as they were written, where a double would not have them. */
class Digits {
  constructor(text) {
    this.text = text
  }
  toString() {
    return this.text
  }
}

/** JSON.parse, with numbers beyond a double kept by their text where the browser shows it. */
export const parse = (text) =>
  JSON.parse(text, (_, value, context) => (typeof value === 'number' && context?.source !== undefined && String(value) !== context.source ? new Digits(context.source) : value))

/** A value as JSON, by lines of `indent`, or in one. */
export function json(value, indent = 0, depth = 0) {
  if (value instanceof Digits) return value.text
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const isList = Array.isArray(value)
  const parts = isList ? value.map((part) => json(part, indent, depth + 1)) : Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}:${indent ? ' ' : ''}${json(part, indent, depth + 1)}`)
  const [open, close] = isList ? '[]' : '{}'
  if (parts.length === 0 || !indent) return open + parts.join(',') + close
  const pad = ' '.repeat(indent * (depth + 1))
  return `${open}\n${parts.map((part) => pad + part).join(',\n')}\n${' '.repeat(indent * depth)}${close}`
}

/** A cell of a table: texts bare, everything else as JSON. */
export const cell = (value) => (value === undefined ? '' : typeof value === 'string' ? value : json(value))

export const clip = (text, length) => (text.length > length ? `${text.slice(0, length)}…` : text)
