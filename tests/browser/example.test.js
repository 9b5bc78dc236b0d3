// The example in a real browser, with --auth jwt: two people side by side; optimistic writes that are
// held up, confirmed, refused; offline and back; tokens that end; a reload.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { until } from '../e2e/lib/wait.js'
import { Application } from './application.js'
import { Browser, assertFits, shoot } from './browser.js'

let app
let browser

before(async () => {
  browser = await Browser.start()
  app = await Application.start()
})

after(async () => {
  await browser?.close()
  await app?.close()
})

/** What one person sees and does. */
class Pane {
  constructor(page, user) {
    this.root = page.getByRole('region', { name: user, exact: true })
  }

  project = (name) => this.root.getByRole('article', { name, exact: true })
  todo = (project, title) => this.project(project).locator('.todo', { hasText: title })
  isLive = () => this.root.getByRole('status').getByText('live').waitFor()
  add = async (project, title) => {
    await this.project(project).getByLabel(`Add to ${project}`).fill(title)
    await this.project(project).getByRole('button', { name: 'Add', exact: true }).click()
  }
  share = async (project, user) => {
    await this.project(project).getByLabel(`Share ${project} with`).fill(user)
    await this.project(project).getByRole('button', { name: 'Share' }).click()
  }
}

async function open(t, { url = app.url, query = '', ...options } = {}) {
  const page = await browser.page(t, options)
  await page.goto(`${url}/${query}`)
  const [ana, bo] = ['ana', 'bo'].map((user) => new Pane(page, user))
  await ana.isLive()
  await ana.project('Garden').waitFor()
  return { page, ana, bo }
}

const gone = (locator) => locator.waitFor({ state: 'detached' })
/** There, and what the stream says: nothing is pending any more. */
const confirmed = async (locator) => {
  await locator.waitFor()
  await until('its confirmation', async () => !(await locator.getAttribute('class')).includes('pending'), { deadlineMs: 60_000 })
}
const rows = async (text, ...values) => (await app.db.query(text, values)).rows

test('sharing, adding, moving and revoking reach the other one', async (t) => {
  const { page, ana, bo } = await open(t)
  await bo.isLive()
  await bo.root.getByText('No projects.').waitFor()
  await ana.share('Garden', 'Bo')
  await bo.project('Garden').waitFor()
  await bo.todo('Garden', 'Dig the bed').waitFor()
  assert.equal(await bo.project('Party for Bo').count(), 0)

  await bo.add('Garden', 'Pick the beans')
  await confirmed(bo.todo('Garden', 'Pick the beans'))
  await confirmed(ana.todo('Garden', 'Pick the beans'))
  await bo.todo('Garden', 'Pick the beans').getByRole('checkbox').click()
  await ana.todo('Garden', 'Pick the beans').locator('.done').waitFor()
  await shoot(page, 'example-both-light-1280')

  await ana.todo('Garden', 'Buy balloons').getByRole('combobox').selectOption({ label: 'to Party for Bo' })
  await ana.todo('Party for Bo', 'Buy balloons').waitFor()
  await gone(bo.todo('Garden', 'Buy balloons'))
  await ana.todo('Garden', 'Pick the beans').getByRole('button', { name: 'Delete Pick the beans' }).click()
  await gone(bo.todo('Garden', 'Pick the beans'))

  await ana.project('Garden').getByRole('button', { name: 'Remove bo from Garden' }).click()
  await bo.root.getByText('No projects.').waitFor()
  assert.equal(await bo.root.locator('.todo').count(), 0)
  assert.deepEqual(await rows(`SELECT user_id FROM members WHERE project_id = 1`), [{ user_id: 'ana' }])
})

test('a new project is there for its maker alone', async (t) => {
  const { ana, bo } = await open(t)
  await bo.isLive()
  await bo.root.getByLabel('A new project').fill('Attic')
  await bo.root.getByRole('button', { name: 'Make it' }).click()
  await confirmed(bo.project('Attic'))
  await bo.add('Attic', 'Sweep')
  await confirmed(bo.todo('Attic', 'Sweep'))
  assert.equal(await ana.project('Attic').count(), 0)
  await app.db.query(`DELETE FROM todos WHERE title = 'Sweep'`)
  await gone(bo.todo('Attic', 'Sweep'))
})

test('a write is shown at once, and confirmed when the stream brings its transaction', async (t) => {
  const { page, ana } = await open(t)
  let goOn
  const held = new Promise((done) => (goOn = done))
  await page.route('**/api/todos', async (route) => {
    await held
    await route.continue()
  })
  await ana.add('Garden', 'Buy a spade')
  const todo = ana.todo('Garden', 'Buy a spade')
  await todo.getByText('saving').waitFor()
  assert.match(await todo.getAttribute('class'), /pending/)
  assert.deepEqual(await rows(`SELECT FROM todos WHERE title = 'Buy a spade'`), [])
  goOn()
  await confirmed(todo)
  const [{ id, txid }] = await rows(`SELECT id, xmin::text AS txid FROM todos WHERE title = 'Buy a spade'`)
  assert.ok(Number(id) > 1e12 && txid)
  await app.db.query('DELETE FROM todos WHERE id = $1', [id])
  await gone(todo)
})

test('what the backend refuses is taken back, and said', async (t) => {
  const { ana } = await open(t, { mayFail: /409/ })
  await ana.share('Garden', 'nobody')
  await ana.root.getByRole('alert').getByText('nobody is called that').waitFor()
  await gone(ana.project('Garden').locator('.chip', { hasText: 'nobody' }))
})

test('offline and back: both directions arrive', async (t) => {
  const { page, ana } = await open(t, { mayFail: /ERR_INTERNET_DISCONNECTED|ERR_NETWORK_CHANGED|net::/ })
  await page.context().setOffline(true)
  await ana.root.getByRole('status').getByText('offline').waitFor()
  await ana.add('Garden', 'Written offline')
  await ana.todo('Garden', 'Written offline').getByText('saving').waitFor()
  await app.db.query(`INSERT INTO todos VALUES (50, 1, 'While away')`)
  await shoot(page, 'example-offline-light-1280')
  assert.deepEqual(await rows(`SELECT FROM todos WHERE title = 'Written offline'`), [])
  await page.context().setOffline(false)
  await confirmed(ana.todo('Garden', 'While away'))
  await confirmed(ana.todo('Garden', 'Written offline'))
  assert.equal((await rows(`SELECT FROM todos WHERE title = 'Written offline'`)).length, 1)
  await app.db.query(`DELETE FROM todos WHERE title IN ('Written offline', 'While away')`)
  await gone(ana.todo('Garden', 'While away'))
})

test('one of two goes offline by the button, and catches up', async (t) => {
  const { ana, bo } = await open(t)
  await bo.isLive()
  await ana.share('Garden', 'bo')
  await bo.project('Garden').waitFor()
  await bo.root.getByRole('button', { name: 'Go offline' }).click()
  await bo.todo('Garden', 'Dig the bed').getByRole('checkbox').click()
  await bo.todo('Garden', 'Dig the bed').getByText('saving').waitFor()
  await ana.add('Garden', 'Rake')
  await confirmed(ana.todo('Garden', 'Rake'))
  assert.equal(await bo.todo('Garden', 'Rake').count(), 0)
  assert.equal(await ana.todo('Garden', 'Dig the bed').locator('.done').count(), 0)
  await bo.root.getByRole('button', { name: 'Go online' }).click()
  await bo.todo('Garden', 'Rake').waitFor()
  await ana.todo('Garden', 'Dig the bed').locator('.done').waitFor()
  await app.db.query(`BEGIN; DELETE FROM todos WHERE title = 'Rake'; UPDATE todos SET done = false; DELETE FROM members WHERE user_id = 'bo' AND project_id = 1; COMMIT`)
  await gone(bo.project('Garden'))
})

test('tokens that end are followed by new ones, offline too', async (t) => {
  const url = await app.serve(3)
  const page = await browser.page(t, { mayFail: /401|net::/ })
  let tokens = 0
  page.on('response', (response) => (tokens += response.url().endsWith('/api/token') && response.ok() ? 1 : 0))
  await page.goto(`${url}/?user=ana`)
  const ana = new Pane(page, 'ana')
  await ana.project('Garden').waitFor()
  await until('the fourth token', () => tokens >= 4, { deadlineMs: 60_000 })
  await app.db.query(`INSERT INTO todos VALUES (60, 1, 'Much later')`)
  await ana.todo('Garden', 'Much later').waitFor()

  await page.context().setOffline(true)
  const expired = Date.now() + 3000 + 1000 + 500 // lifetime, leeway
  await app.db.query(`DELETE FROM todos WHERE id = 60`)
  await until('every token to have ended', () => Date.now() > expired)
  await page.context().setOffline(false)
  await gone(ana.todo('Garden', 'Much later'))
})

test('a reload shows the same', async (t) => {
  const { page, ana } = await open(t)
  const texts = () => ana.root.locator('.todo').allTextContents()
  await until('three todos', async () => (await texts()).length === 3)
  const before = await texts()
  await page.reload()
  await until('the same todos', async () => JSON.stringify(await texts()) === JSON.stringify(before))
})

for (const theme of ['light', 'dark'])
  for (const width of [1280, 390])
    test(`looks: ${theme}, ${width} wide`, async (t) => {
      const { page, ana } = await open(t, { theme, width })
      await ana.project('Party for Bo').waitFor()
      await assertFits(page)
      await shoot(page, `example-${theme}-${width}`)
    })
