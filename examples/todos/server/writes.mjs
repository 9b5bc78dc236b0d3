// What a user may write, each as one statement that checks by itself whether this user may. A rule in
// weir.rules says who sees a row; who may write it stays the application's own affair.

const TXID = 'pg_current_xact_id()::xid::text AS txid'
const isMember = (project, user) => `EXISTS (SELECT FROM members m WHERE m.project_id = ${project} AND m.user_id = ${user} AND m.role <> 'banned')`
const isOwner = (project, user) => `EXISTS (SELECT FROM members m WHERE m.project_id = ${project} AND m.user_id = ${user} AND m.role = 'owner')`

const WRITES = [
  {
    route: 'POST /api/projects',
    otherwise: 'it is there already',
    statement: ({ user, id, name }) => ({
      text: `WITH made AS (INSERT INTO projects (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id)
             INSERT INTO members (project_id, user_id, role) SELECT id, $3, 'owner' FROM made RETURNING ${TXID}`,
      values: [id, name, user],
    }),
  },
  {
    route: 'POST /api/projects/:project/members',
    otherwise: 'nobody is called that, or they are in the project, or it is not yours',
    statement: ({ user, project, member }) => ({
      text: `INSERT INTO members (project_id, user_id) SELECT $1, u.id FROM users u WHERE u.id = $2 AND ${isOwner('$1', '$3')}
             ON CONFLICT DO NOTHING RETURNING ${TXID}`,
      values: [project, member, user],
    }),
  },
  {
    route: 'DELETE /api/projects/:project/members/:member',
    otherwise: 'the project is not yours',
    statement: ({ user, project, member }) => ({
      text: `DELETE FROM members WHERE project_id = $1 AND user_id = $2 AND role <> 'owner' AND ($2 = $3 OR ${isOwner('$1', '$3')}) RETURNING ${TXID}`,
      values: [project, member, user],
    }),
  },
  {
    route: 'POST /api/todos',
    otherwise: 'it is there already, or the project is not yours',
    statement: ({ user, id, project, title }) => ({
      text: `INSERT INTO todos (id, project_id, title) SELECT $1::bigint, $2::bigint, $3 WHERE ${isMember('$2', '$4')}
             ON CONFLICT (id) DO NOTHING RETURNING ${TXID}`,
      values: [id, project, title, user],
    }),
  },
  {
    route: 'PATCH /api/todos/:id',
    otherwise: 'nothing has changed: it is gone, or not yours, or was so before',
    statement: ({ user, id, project, done }) => ({
      text: `UPDATE todos SET project_id = coalesce($2, project_id), done = coalesce($3, done)
              WHERE id = $1 AND ${isMember('todos.project_id', '$4')} AND ${isMember('coalesce($2, todos.project_id)', '$4')}
                AND (project_id, done) IS DISTINCT FROM (coalesce($2, project_id), coalesce($3, done)) RETURNING ${TXID}`,
      values: [id, project ?? null, done ?? null, user],
    }),
  },
  {
    route: 'DELETE /api/todos/:id',
    otherwise: 'it is gone, or not yours',
    statement: ({ user, id }) => ({
      text: `DELETE FROM todos WHERE id = $1 AND ${isMember('todos.project_id', '$2')} RETURNING ${TXID}`,
      values: [id, user],
    }),
  },
]

const ROUTES = WRITES.map((write) => {
  const [method, path] = write.route.split(' ')
  return { ...write, method, pattern: new RegExp(`^${path.replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`) }
})

/** The write of a request, with the parameters in its path; undefined where there is none. */
export function findWrite(method, pathname) {
  for (const route of ROUTES) {
    const match = route.method === method && route.pattern.exec(pathname)
    if (match) return { ...route, params: Object.fromEntries(Object.entries(match.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)])) }
  }
}
