// JSON that keeps the digits of numbers. JSON.parse would turn 1.10 into 1.1 and lose the end of a
// 20-digit integer, which are the very faults the suites look for.

/** A value's canonical text: members sorted, no spaces, numbers by their digits. Equal values and
 * only those have equal texts; 1.10 and 1.1 differ, as they do in Postgres, 1e2 and 100 do not. */
export function canonical(text) {
  const scanner = new Scanner(text)
  const value = scanner.canonical()
  scanner.end()
  return value
}

/** The elements of an array, or the members of an object, each value as the text it has in `text`.
 * Object: Map of decoded name to text. */
export function elements(text) {
  const scanner = new Scanner(text)
  const parts = scanner.elements()
  scanner.end()
  return parts
}

export function members(text) {
  const scanner = new Scanner(text)
  const parts = scanner.members()
  scanner.end()
  return parts
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const SPACE = /[ \t\n\r]*/y
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const WORD = /true|false|null/y

class Scanner {
  constructor(text) {
    this.text = text
    this.at = 0
  }

  fail(what) {
    throw new Error(`JSON: expected ${what} at ${this.at}: ${this.text.slice(this.at, this.at + 40)}`)
  }

  take(pattern, what) {
    pattern.lastIndex = this.at
    const match = pattern.exec(this.text)
    if (!match) this.fail(what)
    this.at = pattern.lastIndex
    return match[0]
  }

  space() {
    const code = this.text.charCodeAt(this.at)
    if (code === 32 || code === 10 || code === 13 || code === 9) this.take(SPACE, 'space')
  }

  peek() {
    this.space()
    return this.text[this.at]
  }

  accept(char) {
    if (this.peek() !== char) return false
    this.at++
    return true
  }

  expect(char) {
    if (!this.accept(char)) this.fail(char)
  }

  end() {
    this.space()
    if (this.at !== this.text.length) this.fail('the end')
  }

  // V8's regular expressions recurse over long alternations: long strings go by indexOf.
  string() {
    const { text } = this
    let end = this.at + 1
    for (;;) {
      end = text.indexOf('"', end)
      if (end < 0) this.fail('the end of a string')
      let slashes = 0
      while (text[end - 1 - slashes] === '\\') slashes++
      end++
      if (slashes % 2 === 0) break
    }
    const raw = text.slice(this.at, end)
    if (raw.length < 200) this.take(STRING, 'a string')
    this.at = end
    return raw
  }

  #list(open, close, item) {
    this.expect(open)
    if (this.accept(close)) return
    do item()
    while (this.accept(','))
    this.expect(close)
  }

  canonical() {
    switch (this.peek()) {
      case '{': {
        const entries = new Map()
        this.#list('{', '}', () => this.#member((name) => entries.set(name, this.canonical())))
        const names = [...entries.keys()].sort()
        return `{${names.map((name) => `${JSON.stringify(name)}:${entries.get(name)}`).join(',')}}`
      }
      case '[': {
        const items = []
        this.#list('[', ']', () => items.push(this.canonical()))
        return `[${items.join(',')}]`
      }
      case '"':
        return JSON.stringify(JSON.parse(this.string()))
      case 't':
      case 'f':
      case 'n':
        return this.take(WORD, 'a word')
      default:
        return canonicalNumber(this.take(NUMBER, 'a value'))
    }
  }

  #member(use) {
    if (this.peek() !== '"') this.fail('a name')
    const name = JSON.parse(this.string())
    this.expect(':')
    use(name)
  }

  /** Skips one value and returns its text. */
  raw() {
    const first = this.peek()
    const start = this.at
    if (first === '{') this.#list('{', '}', () => this.#member(() => this.raw()))
    else if (first === '[') this.#list('[', ']', () => this.raw())
    else if (first === '"') this.string()
    else if (first === 't' || first === 'f' || first === 'n') this.take(WORD, 'a word')
    else this.take(NUMBER, 'a value')
    return this.text.slice(start, this.at)
  }

  elements() {
    const items = []
    this.#list('[', ']', () => items.push(this.raw()))
    return items
  }

  members() {
    const found = new Map()
    this.#list('{', '}', () => this.#member((name) => found.set(name, this.raw())))
    return found
  }
}

/** Writes an exponent out and takes the sign off a zero; digits stay as they are. */
export function canonicalNumber(text) {
  if (/^-[0.]+$/.test(text)) return text.slice(1)
  const match = /^(-?)([0-9]+)(?:\.([0-9]+))?[eE]([+-]?[0-9]+)$/.exec(text)
  if (!match) return text
  const [, sign, whole, fraction = '', power] = match
  const digits = whole + fraction
  const point = whole.length + Number(power)
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  if (point >= digits.length) return sign + `${digits}${'0'.repeat(point - digits.length)}`.replace(/^0+(?=.)/, '')
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}
