// The console in a real browser: its plots, streams, a stream that is followed, explanations, the
// admin's token; hostile rows stay text; a phone's width and a dark theme; the keyboard.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { request } from '../e2e/lib/raw_http.js'
import { Stack } from '../e2e/lib/stack.js'
import { readStream } from '../e2e/lib/stream.js'
import { until } from '../e2e/lib/wait.js'
import { Server } from '../e2e/lib/weir.js'
import { Browser, assertFits, shoot } from './browser.js'

const HOSTILE = `<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>"'&amp;`
const MANY = 4000

let stack
let browser

before(async () => {
  browser = await Browser.start()
  stack = await Stack.create('console', {
    schema: `CREATE TABLE members (project_id int, user_id text, role text, PRIMARY KEY (project_id, user_id));
             CREATE TABLE todos (id bigint PRIMARY KEY, project_id int, title text, done boolean, price numeric, due date);
             CREATE TABLE secrets (id int PRIMARY KEY);
             INSERT INTO members VALUES (1, 'ana', 'owner'), (1, 'bo', 'member'), (2, 'ana', 'owner');
             INSERT INTO todos VALUES (1, 1, 'Dig the bed', true, 12345678901234567890.10, '2026-03-01'), (2, 1, 'Water the tomatoes', false, NULL, NULL), (3, 2, 'Buy balloons', false, 4.5, '2026-04-01');
             INSERT INTO members SELECT 10 + n % 9, 'user ' || n, 'member' FROM generate_series(1, 40) n;`,
    tables: ['members', 'todos', 'secrets'],
    rules: [
      { name: 'project todos', relation: 'todos', audience: `SELECT m.user_id FROM members m WHERE m.project_id = todos.project_id AND m.role <> 'banned'` },
      { name: 'cheap todos', relation: 'todos', audience: `SELECT 'public' FROM members m WHERE m.project_id = todos.project_id AND todos.price < 10` },
      { name: 'members', relation: 'members', audience: 'SELECT members.user_id' },
    ],
    bridgeArgs: ['--probe-interval', '200ms'],
  })
  stack.bridge.start()
  await stack.settle()
  // For the plots: their history has a figure every five seconds, and what it says of this is looked at last.
  await stack.db.query(`INSERT INTO todos SELECT 1000 + n, 1, 'todo ' || n, false, NULL, NULL FROM generate_series(1, ${MANY}) n`)
  await stack.db.query('DELETE FROM todos WHERE id > 1000')
  await stack.settle()
})

after(async () => {
  await browser?.close()
  await stack?.close()
})

const open = async (t, hash = '', options) => {
  const page = await browser.page(t, options)
  await page.goto(`${stack.server.url}/console/${hash}`)
  return page
}

const THEMES = ['light', 'dark']
const WIDTHS = [1280, 390]
const looks = THEMES.flatMap((theme) => WIDTHS.map((width) => ({ theme, width })))
const STREAM = '#/stream/user/ana/data'

test('the overview shows lag and the bridge', async (t) => {
  const page = await open(t)
  await page.locator('#health.good', { hasText: /behind$/ }).waitFor()
  await page.locator('.tile', { hasText: /^Lag\d+(\.\d+)? (µs|ms|s)from commit to stream$/ }).waitFor()
  assert.match(await page.locator('.card', { hasText: 'Bridge weir' }).textContent(), /following.*weir.*reserved/s)
})

test('streams are searched, and lead to one', async (t) => {
  const page = await open(t, '#/streams')
  await page.getByText(/4[0-9] streams\./).waitFor()
  await page.getByLabel('Search').fill('user%203')
  await page.getByText(/^1[0-9] streams\.$/).waitFor()
  assert.deepEqual((await page.locator('tbody a').allTextContents()).slice(0, 2), ['user/user 3/data', 'user/user 30/data'])
  await page.getByLabel('Search').fill('user 39')
  await page.getByText(/^1 stream\.$/).waitFor()
  await page.getByRole('link', { name: 'user/user 39/data' }).click()
  await page.getByRole('heading', { name: 'user/user 39/data' }).waitFor()
  await page.getByRole('rowheader', { name: /user 39/ }).waitFor()
  await page.goBack()
  await page.getByLabel('Search').fill('nobody')
  await page.getByText('No stream has this in its path.').waitFor()
  await page.getByLabel('Search').fill('/ana/')
  await page.getByRole('link', { name: 'user/ana/data' }).click()
  await page.getByRole('heading', { name: 'user/ana/data' }).waitFor()
  await page.goBack()
  assert.equal(await page.getByLabel('Search').inputValue(), '/ana/')
})

test('a stream is followed: rows and events as they come', async (t) => {
  const page = await open(t, STREAM)
  const row = (key) => page.locator('tbody tr', { has: page.getByRole('rowheader', { name: key, exact: true }) })
  const newest = (text) => page.locator('.events li:first-child', { hasText: text })
  try {
    await page.getByText('live', { exact: true }).waitFor()
    assert.match(await row('1').textContent(), /Dig the bed.*true.*12345678901234567890\.10/)
    await page.waitForResponse((response) => response.status() === 204) // nothing came for a while
    await stack.db.query(`INSERT INTO todos VALUES (4, 1, 'Pick the beans', false, NULL, NULL)`)
    await row('4').waitFor()
    await stack.db.query(`UPDATE todos SET title = 'Pick all beans' WHERE id = 4`)
    await row('4').getByText('Pick all beans').waitFor()
    await newest(/^updatetodos 4/).waitFor()
    await page.locator('.events summary').first().click()
    assert.match(await page.locator('.events pre').first().textContent(), /"operation": "update"/)
    await page.getByLabel('Filter rows').fill('balloons')
    await row('4').waitFor({ state: 'detached' })
    await row('3').waitFor()
    await page.getByLabel('Filter rows').fill('')
    await row('4').waitFor()
    await stack.db.query('DELETE FROM todos WHERE id = 4')
    await row('4').waitFor({ state: 'detached' })
    await newest(/^deletetodos 4/).waitFor()
  } catch (error) {
    // Which of the two is behind: the stream, or the page that follows it.
    const { events } = await readStream(stack.server.url, 'user/ana/data')
    error.message += `\nthe stream's last event: ${JSON.stringify(events.at(-1))}\nthe page:\n${await page.locator('main').innerText()}`
    throw error
  }
})

test('a stream that is not there yet is waited for', async (t) => {
  const page = await open(t, '#/stream/user/cy/data', { mayFail: /404/ })
  await page.getByText('There is no such stream').waitFor()
  await stack.db.query(`INSERT INTO members VALUES (3, 'cy', 'owner')`)
  await page.getByRole('rowheader', { name: '["3","cy"]' }).waitFor()
})

test('rows are text, whatever they hold', async (t) => {
  await stack.db.query('INSERT INTO members VALUES (1, $1, $1)', [HOSTILE])
  await stack.db.query('INSERT INTO todos VALUES (66, 1, $1)', [HOSTILE])
  await stack.settle()
  const page = await open(t, STREAM)
  await page.locator('td', { hasText: HOSTILE }).waitFor()
  await page.locator('.events summary').first().click()
  await page.goto(`${stack.server.url}/console/#/streams?search=${encodeURIComponent('onerror')}`)
  await page.getByRole('link', { name: /onerror/ }).click()
  await page.locator('td', { hasText: HOSTILE }).first().waitFor()
  await page.goto(`${stack.server.url}/console/#/explain?${new URLSearchParams({ subject: HOSTILE, relation: 'todos', key: '66' })}`)
  await page.locator('.verdict.good', { hasText: HOSTILE }).waitFor()
  assert.equal(await page.evaluate(() => window.stolen), undefined)
  await stack.db.query('DELETE FROM todos WHERE id = 66')
})

test('a rule is explained for a user and a row', async (t) => {
  const page = await open(t, STREAM)
  // In sight without scrolling, though the table is wider than its place.
  const why = page.getByRole('link', { name: 'why is todos 3 seen?' })
  await page.getByText('live', { exact: true }).waitFor() // all rows are there, and nothing moves any more
  const [link, place] = [await why.boundingBox(), await page.getByRole('region', { name: 'Rows of todos' }).boundingBox()]
  assert.ok(link.x + link.width <= place.x + place.width, JSON.stringify([link, place]))
  await why.click()
  await page.getByText('ana sees todos 3').waitFor()
  assert.match(await page.locator('.card', { hasText: 'project todos' }).textContent(), /shows it.*SELECT m\.user_id FROM members m WHERE .*user\/\{subject\}\/data/)
  assert.match(await page.locator('.card', { hasText: 'cheap todos' }).textContent(), /does not.*does not select this subject/)
  await page.getByLabel('User (subject)').fill('bo')
  await page.keyboard.press('Enter')
  await page.getByText('bo does not see todos 3').waitFor()
  await page.getByLabel('Table').fill('todoes')
  await page.getByRole('button', { name: 'Explain' }).click()
  await page.getByText(/todoes" does not exist/).waitFor()
  await page.getByLabel('Table').fill('public.todos')
  await page.getByRole('button', { name: 'Explain' }).click()
  await page.getByText('bo does not see public.todos 3').waitFor()
})

test('by keyboard alone', async (t) => {
  const page = await open(t)
  await page.locator('#health.good').waitFor()
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(() => document.activeElement.id), 'skip')
  await page.keyboard.press('Enter')
  assert.equal(await page.evaluate(() => document.activeElement.id), 'content')
  await page.getByRole('link', { name: 'Streams', exact: true }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Streams' }).waitFor()
  assert.equal(await page.evaluate(() => document.activeElement.id), 'content')
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(() => document.activeElement.id), 'search')
  assert.equal(await page.locator('nav [aria-current=page]').textContent(), 'Streams')
})

test('the throughput is drawn, and read by keys', async (t) => {
  const page = await open(t)
  const plot = page.locator('section', { hasText: 'Throughput' })
  await until('the throughput to be drawn', async () => /rows.*events/s.test(await plot.textContent()) && (await plot.locator('path.line').first().getAttribute('d'))?.includes('L'), { deadlineMs: 60_000 })
  const svg = plot.locator('svg')
  await svg.focus()
  await page.keyboard.press('End')
  assert.match(await plot.locator('.plot-readout').textContent(), /^\d\d:\d\d:\d\d {2}rows\/s .* {2}events\/s /)
  await page.keyboard.press('ArrowLeft')
  await svg.blur()
  assert.equal(await plot.locator('.plot-readout').textContent(), '')
  assert.match(await svg.getAttribute('aria-label'), /^Throughput, .* at most .* Arrow keys/)
})

for (const { theme, width } of looks) {
  test(`looks: ${theme}, ${width} wide`, async (t) => {
    const page = await open(t, '', { theme, width })
    await page.locator('#health.good').waitFor()
    await page.locator('.plot path.line').first().waitFor({ state: 'attached' })
    const views = { overview: '', streams: '#/streams', stream: STREAM, explain: '#/explain?subject=ana&relation=todos&key=3' }
    for (const [name, hash] of Object.entries(views)) {
      await page.goto(`${stack.server.url}/console/${hash}`)
      await page.locator({ overview: '.plot path.line', streams: 'tbody tr', stream: 'tbody tr', explain: '.verdict' }[name]).first().waitFor({ state: 'attached' })
      await assertFits(page)
      await shoot(page, `console-${name}-${theme}-${width}`)
    }
    const [ground, text] = await page.evaluate(() => ['backgroundColor', 'color'].map((name) => Number(/\d+/.exec(getComputedStyle(document.body)[name])[0])))
    assert.equal(ground < text, theme === 'dark')
  })
}

test('with --auth jwt it asks for the admin’s token, and sends nobody else’s', async (t) => {
  const secret = (name) => {
    const token = randomBytes(24).toString('hex')
    writeFileSync(stack.workspace.path(name), `${token}\n`, { mode: 0o600 })
    return token
  }
  const [, writer, admin] = ['auth.secret', 'writer.token', 'admin.token'].map(secret)
  const file = (name) => stack.workspace.path(name)
  const server = await Server.start(stack.workspace, {
    name: 'serve-jwt',
    args: ['--auth', 'jwt', '--auth-secret-file', file('auth.secret'), '--writer-token-file', file('writer.token'), '--admin-token-file', file('admin.token')],
  })
  await fetch(`${server.streamsUrl}/user/ana/data`, { method: 'PUT', headers: { Authorization: `Bearer ${writer}`, 'Content-Type': 'application/json' }, body: '[]' })
  const page = await browser.page(t, { mayFail: /40[13]/ })
  await page.goto(`${server.url}/console/`)
  const dialog = page.getByRole('dialog', { name: 'The admin’s token' })
  const sign = async (token) => {
    await dialog.getByLabel(/admin-token-file/).fill(token)
    await page.keyboard.press('Enter')
  }
  await dialog.waitFor()
  await shoot(page, 'console-sign-in-light-1280')
  await sign('not the token at all')
  await dialog.getByText(/token/).first().waitFor()
  await sign(writer)
  await dialog.getByText('this takes the admin’s token'.replace('’', "'")).waitFor()
  await sign(admin)
  await page.locator('#health').getByText('no bridge').waitFor()
  await page.reload()
  await page.locator('#health').getByText('no bridge').waitFor()
  await page.goto(`${server.url}/console/#/streams`)
  await page.getByRole('link', { name: 'user/ana/data' }).waitFor()
  assert.deepEqual(await page.evaluate(() => [Object.values(sessionStorage), localStorage.length, document.cookie]), [[admin], 0, ''])
  assert.ok(!server.log(1000).includes(admin))
  await page.getByRole('button', { name: 'Sign out' }).click()
  await dialog.waitFor()
  assert.equal(await page.evaluate(() => sessionStorage.length), 0)
})

test('the files: where they are, their policy, and --console', async () => {
  const get = (path, server = stack.server, options) => request(server.url, path, options)
  const page = await get('/console/')
  assert.match(page.headers['content-security-policy'], /default-src 'none'; script-src 'self'; style-src 'self';.*frame-ancestors 'none'/)
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
  assert.doesNotMatch(page.body.toString(), /<style|<script>|style=|onclick/)
  assert.equal((await get('/console')).headers.location, 'console/')
  assert.equal((await get('/console/main.js')).headers['content-type'], 'text/javascript; charset=utf-8')
  assert.equal((await get('/console/nothing')).status, 404)
  assert.equal((await get('/consoles')).status, 404)
  assert.equal((await get('/console/', stack.server, { method: 'POST', body: '' })).status, 405)
  const start = (name, ...args) => Server.start(stack.workspace, { name, args })
  assert.equal((await get('/console/', await start('serve-off', '--console', 'off'))).status, 404)
  const outside = await startBeyondLoopback('serve-wide')
  assert.equal((await get('/console/', outside)).status, 404)
  assert.equal((await get('/console/', await startBeyondLoopback('serve-wide-on', '--console', 'on'))).status, 200)
})

/** A server that other machines could reach, for the moment of the test. */
const startBeyondLoopback = async (name, ...args) => {
  const server = await Server.start(stack.workspace, { name, args: [...args] })
  await server.stop()
  server.extra = ['--listen', `0.0.0.0:${server.port}`, '--insecure-no-auth', ...args]
  await server.restart()
  return server
}
