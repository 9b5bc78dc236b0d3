// Two people side by side, or with ?user=… one.

import { createRoot } from 'react-dom/client'
import { Person } from './person.jsx'

const users = new URLSearchParams(location.search).getAll('user')
const { streams } = await (await fetch('api/config')).json()

createRoot(document.getElementById('app')).render(
  <>
    <header className="top">
      <strong>A shared todo list</strong>
      <p>Each person reads a stream of their own. Share a project, and it is on the other side; go offline, write, and come back.</p>
    </header>
    <main className="people">
      {(users.length ? users : ['ana', 'bo']).map((user) => (
        <Person key={user} user={user} streams={streams} />
      ))}
    </main>
  </>,
)
