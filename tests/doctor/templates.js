// The messages in a source file, as printf has them: "table %s has no primary key".

const LITERALS = /"(?:[^"\\\n]|\\.)*"/g
const joined = (text) => [...text.matchAll(LITERALS)].map(([literal]) => literal.slice(1, -1).replace(/\\(.)/g, (_, char) => (char === 'n' ? '\n' : char))).join('')

/** Of err_set() and err_set_errno(). */
export function templatesOfC(source) {
  const calls = source.matchAll(/\berr_set(?:_errno)?\(\s*[&\w>.-]+,\s*(?:errno,\s*)?((?:"(?:[^"\\\n]|\\.)*"\s*)+)/g)
  return [...calls].map(([, literals]) => joined(literals))
}

/** One expression of SQL, from `at` to a comma or FROM outside of its parentheses: its literals, and %s for
 * everything between them; of format() the format. */
function templateAt(sql, at) {
  const format = /^\s*format\(\s*'((?:[^']|'')*)'/.exec(sql.slice(at))
  if (format) return format[1].replaceAll("''", "'").replace(/%[IL]/g, '%s')
  let template = ''
  let depth = 0
  for (const [token, literal] of sql.slice(at).matchAll(/'((?:[^']|'')*)'|[(),]|\bFROM\b|\|\||[^\s'(),|]+/g)) {
    if (token === '(') depth++
    if (token === ')') depth--
    if (depth < 0 || (depth === 0 && (token === ',' || token === 'FROM'))) break
    if (depth > 0 || token === '||') continue
    template += literal === undefined ? '%s' : literal.replaceAll("''", "'")
  }
  return template.replace(/(%s)+/g, '%s')
}

/** Of queries whose rows are what is wrong: the value behind the severity, or the first of all. */
export function templatesOfSql(source) {
  const code = source.replace(/\/\*[^]*?\*\//g, '').replace(/\\\n/g, '\n')
  const queries = code.split(/^const struct question|^ {4}\{"\w+",|^#define /m).map(joined)
  return queries.flatMap((sql) => {
    const starts = [...sql.matchAll(/'(?:error|warning)',|^SELECT (?=')(?!'(?:error|warning)')/g)].map((found) => found.index + found[0].length)
    return starts.map((start) => templateAt(sql, start))
  })
}
