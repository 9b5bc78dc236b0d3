// The user's rows as TanStack DB collections, which the stream keeps up to date; and what the user may
// do with them: shown at once, written by the backend, confirmed when the stream brings the transaction.

import { createStateSchema } from '@durable-streams/state'
import { createStreamDB } from '@durable-streams/state/db'

const BACKOFF = { initialDelay: 100, maxDelay: 2000, multiplier: 1.3 }
const RETRY_MS = 500
const CONFIRM_MS = 60_000

// Values come out of Postgres, which has checked them.
const anything = { '~standard': { version: 1, vendor: 'example', validate: (value) => ({ value }) } }

const state = createStateSchema({
  users: { schema: anything, type: 'users', primaryKey: 'id' },
  projects: { schema: anything, type: 'projects', primaryKey: 'id' },
  members: { schema: anything, type: 'members', primaryKey: 'key' },
  todos: { schema: anything, type: 'todos', primaryKey: 'id' },
})

const pause = (ms) => new Promise((done) => setTimeout(done, ms))
const isOffline = (error) => error instanceof TypeError

/** Ids are made here, so that a row has its name before the server knows it, and a write that is sent
 * twice is one: milliseconds, and three digits that no other device has just drawn. */
export const newId = () => Date.now() * 1000 + Math.floor(Math.random() * 1000)

export const memberKey = (project, user) => JSON.stringify([String(project), user])

/** Sends a write until the backend has answered it; a network that is away is waited for. */
async function send(session, method, path, body) {
  for (let isRepeated = false; ; isRepeated = true) {
    try {
      const response = await session.fetch(path, { method, body: JSON.stringify(body ?? {}) })
      const answer = await response.json()
      if (response.ok) return answer.txid
      if (response.status === 409 && isRepeated) return null // the first time it had arrived after all
      throw new Error(answer.error)
    } catch (error) {
      if (!isOffline(error)) throw error
    }
    await pause(RETRY_MS)
  }
}

const path = (...parts) => ['api', ...parts.map((part) => encodeURIComponent(part))].join('/')

function actions(db, session) {
  const { projects, members, todos } = db.collections
  /** A write is confirmed when the rows that it made are in the collections. */
  const write = async (...request) => {
    const txid = await send(session, ...request)
    if (txid) await db.utils.awaitTxId(txid, CONFIRM_MS)
  }
  return {
    addProject: {
      onMutate: ({ id, name }) => {
        projects.insert({ id: String(id), name })
        members.insert({ key: memberKey(id, session.user), project_id: id, user_id: session.user, role: 'owner' })
      },
      mutationFn: ({ id, name }) => write('POST', path('projects'), { id, name }),
    },
    share: {
      onMutate: ({ project, member }) => members.insert({ key: memberKey(project, member), project_id: Number(project), user_id: member, role: 'member' }),
      mutationFn: ({ project, member }) => write('POST', path('projects', project, 'members'), { member }),
    },
    revoke: {
      onMutate: ({ project, member }) => members.delete(memberKey(project, member)),
      mutationFn: ({ project, member }) => write('DELETE', path('projects', project, 'members', member)),
    },
    addTodo: {
      onMutate: ({ id, project, title }) => todos.insert({ id: String(id), project_id: Number(project), title, done: false }),
      mutationFn: ({ id, project, title }) => write('POST', path('todos'), { id, project, title }),
    },
    setDone: {
      onMutate: ({ id, done }) => todos.update(id, (todo) => void (todo.done = done)),
      mutationFn: ({ id, done }) => write('PATCH', path('todos', id), { done }),
    },
    move: {
      onMutate: ({ id, project }) => todos.update(id, (todo) => void (todo.project_id = Number(project))),
      mutationFn: ({ id, project }) => write('PATCH', path('todos', id), { project }),
    },
    removeTodo: {
      onMutate: ({ id }) => todos.delete(id),
      mutationFn: ({ id }) => write('DELETE', path('todos', id)),
    },
  }
}

/** Opens the user's stream; resolves when everything up to now is there. */
export async function openDatabase(streams, session) {
  const db = createStreamDB({
    streamOptions: {
      url: `${streams}/user/${encodeURIComponent(session.user)}/data`,
      contentType: 'application/json',
      fetch: session.fetch,
      backoffOptions: BACKOFF,
      warnOnHttp: false,
    },
    // By long-poll: it lives through networks that come and go, where an SSE response that breaks off
    // ends the client.
    live: 'long-poll',
    state,
    actions: ({ db: opened }) => actions(opened, session),
  })
  await db.preload()
  return db
}
