// The projects a person may see, with their members and todos. Everything shown is a live query; every
// act is an action of the database (database.js).

import { useLiveQuery } from '@tanstack/react-db'
import { useState } from 'react'
import { newId } from './database.js'

const byId = (a, b) => a.id - b.id
const byName = (a, b) => (a.user_id < b.user_id ? -1 : 1)

const useRows = (collection) => useLiveQuery((query) => query.from({ row: collection }), [collection]).data

/** A form of one text; `act` takes it. */
function OneText({ label, button, act, className }) {
  const [text, setText] = useState('')
  const submit = (event) => {
    event.preventDefault()
    if (text.trim()) act(text.trim())
    setText('')
  }
  return (
    <form className={`one-text ${className ?? ''}`} onSubmit={submit}>
      <input aria-label={label} placeholder={label} value={text} onChange={(event) => setText(event.target.value)} autoComplete="off" maxLength={200} />
      <button disabled={!text.trim()}>{button}</button>
    </form>
  )
}

function Todo({ todo, projects, act }) {
  const others = projects.filter((project) => project.id !== String(todo.project_id))
  return (
    <li className={todo.$hasPendingWrites ? 'todo pending' : 'todo'}>
      <label>
        <input type="checkbox" checked={todo.done} onChange={() => act('setDone', { id: todo.id, done: !todo.done })} />
        <span className={todo.done ? 'done' : ''}>{todo.title}</span>
      </label>
      {todo.$hasPendingWrites && <span className="saving" title="not confirmed yet">saving</span>}
      {others.length > 0 && (
        <select aria-label={`Move ${todo.title}`} value="" onChange={(event) => act('move', { id: todo.id, project: event.target.value })}>
          <option value="" disabled>move</option>
          {others.map((project) => (
            <option key={project.id} value={project.id}>to {project.name}</option>
          ))}
        </select>
      )}
      <button type="button" className="quiet" aria-label={`Delete ${todo.title}`} onClick={() => act('removeTodo', { id: todo.id })}>✕</button>
    </li>
  )
}

function Members({ project, members, names, user, act }) {
  const isOwner = members.some((member) => member.user_id === user && member.role === 'owner')
  return (
    <div className="members">
      <ul aria-label={`In ${project.name}`}>
        {members.map((member) => (
          <li key={member.key} className={`chip ${member.user_id} ${member.$hasPendingWrites ? 'pending' : ''}`}>
            {names.get(member.user_id) ?? member.user_id}
            {member.role === 'owner' && <span className="role"> owner</span>}
            {member.role !== 'owner' && (isOwner || member.user_id === user) && (
              <button type="button" className="quiet" aria-label={member.user_id === user ? `Leave ${project.name}` : `Remove ${member.user_id} from ${project.name}`} onClick={() => act('revoke', { project: project.id, member: member.user_id })}>✕</button>
            )}
          </li>
        ))}
      </ul>
      {isOwner && <OneText className="share" label={`Share ${project.name} with`} button="Share" act={(text) => act('share', { project: project.id, member: text.toLowerCase() })} />}
    </div>
  )
}

function Project({ project, projects, members, todos, names, user, act }) {
  const open = todos.filter((todo) => !todo.done).length
  return (
    <article className={project.$hasPendingWrites ? 'project pending' : 'project'} aria-label={project.name}>
      <h2>
        {project.name} <span className="count">{todos.length === 0 ? 'no todos' : open === 0 ? 'all done' : `${open} to do`}</span>
      </h2>
      <Members {...{ project, members, names, user, act }} />
      <ul className="todos" aria-label={`Todos of ${project.name}`}>
        {todos.map((todo) => (
          <Todo key={todo.id} {...{ todo, projects, act }} />
        ))}
      </ul>
      <OneText label={`Add to ${project.name}`} button="Add" act={(title) => act('addTodo', { id: newId(), project: project.id, title })} />
    </article>
  )
}

export function Board({ db, user }) {
  const { projects, todos, members, users } = db.collections
  const [trouble, setTrouble] = useState('')
  const [project, todo, member, people] = [useRows(projects), useRows(todos), useRows(members), useRows(users)]
  const names = new Map(people.map(({ id, name }) => [id, name]))
  const sorted = [...project].sort(byId)
  /** What the backend refuses is taken back by itself; why is shown. */
  const act = (name, params) => {
    setTrouble('')
    try {
      db.actions[name](params).isPersisted.promise.catch((error) => setTrouble(error.message))
    } catch (error) {
      setTrouble(error.message)
    }
  }
  const of = (rows, { id }) => rows.filter((row) => String(row.project_id) === id)
  return (
    <>
      {trouble && <p className="trouble" role="alert">{trouble}</p>}
      {sorted.length === 0 && <p className="empty">No projects. Make one, or have one shared with you.</p>}
      {sorted.map((one) => (
        <Project key={one.id} project={one} projects={sorted} members={of(member, one).sort(byName)} todos={of(todo, one).sort(byId)} {...{ names, user, act }} />
      ))}
      <OneText className="new-project" label="A new project" button="Make it" act={(name) => act('addProject', { id: newId(), name })} />
    </>
  )
}
