// Two people side by side, or with ?user=… one.

import { createRoot } from 'react-dom/client'
import { Person } from './person.jsx'

const users = new URLSearchParams(location.search).getAll('user')
const { streams } = await (await fetch('api/config')).json()

createRoot(document.getElementById('app')).render(
  <main className="people">
    {(users.length ? users : ['ana', 'bo']).map((user) => (
      <Person key={user} user={user} streams={streams} />
    ))}
  </main>,
)
