// What the demo tells: each step's SQL, and the events that each user's stream must get from it.
// Events are written as operation, type and key; their order within a transaction is not promised.

export const USERS = [
  { id: 'ana', name: 'Ana' },
  { id: 'bo', name: 'Bo' },
]

const MEMBER_BO = 'members ["1","bo"]'

export const STEPS = [
  {
    title: 'The first copies: Ana has two projects, Bo has none',
    text: 'The bridge has loaded the tables. Everybody sees at least themselves.',
    expect: {
      ana: ['insert projects 1', 'insert projects 2', 'insert members ["1","ana"]', 'insert members ["2","ana"]', 'insert users ana', 'insert todos 1', 'insert todos 2', 'insert todos 3'],
      bo: ['insert users bo'],
    },
  },
  {
    title: 'Ana adds Bo to the garden',
    text: 'One row, and Bo gets everything it lets him see.',
    sql: `INSERT INTO members (project_id, user_id) VALUES (1, 'bo');`,
    expect: {
      ana: [`insert ${MEMBER_BO}`, 'insert users bo'],
      bo: ['insert projects 1', 'insert members ["1","ana"]', `insert ${MEMBER_BO}`, 'insert users ana', 'insert todos 1', 'insert todos 2', 'insert todos 3'],
    },
  },
  {
    title: 'Bo waters the tomatoes',
    text: 'Both see the row, both get the update.',
    sql: `UPDATE todos SET done = true WHERE id = 2;`,
    expect: { ana: ['update todos 2'], bo: ['update todos 2'] },
  },
  {
    title: 'Ana moves a todo to a project that Bo is not in',
    text: 'To Ana it is an update. Bo loses sight of the row: a delete.',
    sql: `UPDATE todos SET project_id = 2 WHERE id = 3;`,
    expect: { ana: ['update todos 3'], bo: ['delete todos 3'] },
  },
  {
    title: 'Ana deletes all of it, and thinks better of it',
    text: 'What was not committed never happened.',
    sql: `BEGIN;\nDELETE FROM todos;\nDELETE FROM members;\nROLLBACK;`,
    expect: { ana: [], bo: [] },
  },
  {
    title: 'One transaction: a new todo, and the garden gets a new name',
    text: 'Arrives as a whole.',
    sql: `BEGIN;\nINSERT INTO todos (id, project_id, title) VALUES (4, 1, 'Pick the beans');\nUPDATE projects SET name = 'Kitchen garden' WHERE id = 1;\nCOMMIT;`,
    expect: { ana: ['insert todos 4', 'update projects 1'], bo: ['insert todos 4', 'update projects 1'] },
  },
  {
    title: 'Ana removes Bo',
    text: `Each row that Bo may no longer see is deleted from his copy. None of them was touched.`,
    sql: `DELETE FROM members WHERE project_id = 1 AND user_id = 'bo';`,
    expect: {
      ana: [`delete ${MEMBER_BO}`, 'delete users bo'],
      bo: ['delete projects 1', 'delete members ["1","ana"]', `delete ${MEMBER_BO}`, 'delete users ana', 'delete todos 1', 'delete todos 2', 'delete todos 4'],
    },
  },
  {
    title: 'Ana goes on without him',
    text: 'Nothing of it reaches Bo. One of the three was done before: no change, no event.',
    sql: `UPDATE todos SET done = true WHERE project_id = 1;`,
    expect: { ana: ['update todos 1', 'update todos 4'], bo: [] },
  },
]

/** What a user's copy must be, by the rules of examples/todos read aloud in SQL. */
export const copyInSql = (user) => `
  WITH mine AS (SELECT project_id FROM members WHERE user_id = '${user}' AND role <> 'banned')
  SELECT coalesce(json_agg(c), '[]') FROM (
    SELECT 'projects' AS type, id::text AS key, to_jsonb(p) AS value FROM projects p WHERE id IN (TABLE mine)
    UNION ALL
    SELECT 'members', jsonb_build_array(project_id::text, user_id)::text, to_jsonb(m) FROM members m WHERE project_id IN (TABLE mine)
    UNION ALL
    SELECT 'users', id, to_jsonb(u) FROM users u WHERE id = '${user}' OR id IN (SELECT user_id FROM members WHERE project_id IN (TABLE mine))
    UNION ALL
    SELECT 'todos', id::text, to_jsonb(t) FROM todos t WHERE project_id IN (TABLE mine)
  ) c`

/** A row in a few words, by its type. */
export const WORDS = {
  projects: (row) => `${row.id}  ${row.name}`,
  members: (row) => `${row.user_id} in ${row.project_id}, ${row.role}`,
  users: (row) => row.name,
  todos: (row) => `${row.done ? '☑' : '☐'} ${row.title}  (in ${row.project_id})`,
}
