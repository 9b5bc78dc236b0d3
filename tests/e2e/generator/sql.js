// Names and values as they stand in SQL.

export const name = (text) => `"${text.replaceAll('"', '""')}"`
export const literal = (text) => (text === null ? 'NULL' : `'${text.replaceAll("'", "''")}'`)
export const table = (relation) => `${name(relation.schema)}.${name(relation.name)}`
export const list = (names) => names.map(name).join(', ')
export const nameArray = (names) => (names === null ? 'NULL' : `ARRAY[${names.map(literal).join(', ')}]::name[]`)
