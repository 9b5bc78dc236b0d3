// One person's copy: the session, the stream, and what is shown until it is there.

import { useEffect, useState, useSyncExternalStore } from 'react'
import { Board } from './board.jsx'
import { openDatabase } from './database.js'
import { Line, Session } from './session.js'

const RETRY_MS = 1000

/** The database once it is open, or why it is not. A user whose first row is still on its way has no
 * stream yet, so it is tried again. */
function useDatabase(streams, session) {
  const [state, setState] = useState({})
  useEffect(() => {
    let isGone = false
    let db
    let timer
    const open = async () => {
      try {
        db = await openDatabase(streams, session)
        if (isGone) db.close()
        else setState({ db })
      } catch (error) {
        if (isGone) return
        setState({ trouble: error.message })
        timer = setTimeout(open, RETRY_MS)
      }
    }
    open()
    return () => {
      isGone = true
      clearTimeout(timer)
      db?.close()
    }
  }, [streams, session])
  return state
}

function useIsOffline(line) {
  const subscribe = (listener) => {
    const stop = line.onChange(listener)
    window.addEventListener('online', listener)
    window.addEventListener('offline', listener)
    return () => {
      stop()
      window.removeEventListener('online', listener)
      window.removeEventListener('offline', listener)
    }
  }
  return useSyncExternalStore(subscribe, () => line.isCut || !navigator.onLine)
}

export function Person({ user, streams }) {
  const [line] = useState(() => new Line())
  const [session] = useState(() => new Session(user, line))
  const { db, trouble } = useDatabase(streams, session)
  const isOffline = useIsOffline(line)
  return (
    <section className={`person ${user}`} aria-label={user}>
      <header>
        <span className="face" aria-hidden="true">{user[0].toUpperCase()}</span>
        <h1>{user}</h1>
        <p className={isOffline ? 'line off' : 'line'} role="status">{isOffline ? 'offline' : db ? 'live' : 'connecting'}</p>
        <button type="button" className="plain" aria-pressed={line.isCut} onClick={() => line.setCut(!line.isCut)}>
          {line.isCut ? 'Go online' : 'Go offline'}
        </button>
      </header>
      {db ? <Board db={db} user={user} /> : <p className="empty">{trouble ? `Not yet: ${trouble}` : 'Reading the stream …'}</p>}
    </section>
  )
}
