// What docker-compose.yml has brought up, in a browser; started by run.sh, once from nothing and once
// again over the same volumes.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Browser, shoot } from '../browser/browser.js'

const { ROUND, EXAMPLE_URL, WEIR_URL, ADMIN_TOKEN } = process.env
let browser

before(async () => (browser = await Browser.start()))
after(() => browser?.close())

test('the example works', async (t) => {
  const page = await browser.page(t, { mayFail: /404/ })
  await page.goto(EXAMPLE_URL)
  const [ana, bo] = ['ana', 'bo'].map((user) => page.getByRole('region', { name: user, exact: true }))
  const garden = ana.getByRole('article', { name: 'Garden' })
  await garden.getByText('Dig the bed').waitFor()
  if (ROUND === '1') {
    await garden.getByLabel('Share Garden with').fill('bo')
    await garden.getByRole('button', { name: 'Share' }).click()
  }
  await bo.getByRole('article', { name: 'Garden' }).getByText('Dig the bed').waitFor()
  await bo.getByLabel('Add to Garden').fill(`Written in round ${ROUND}`)
  await bo.getByRole('button', { name: 'Add', exact: true }).click()
  await garden.locator('.todo:not(.pending)', { hasText: `Written in round ${ROUND}` }).waitFor()
  await bo.locator('.todo:not(.pending)', { hasText: `Written in round ${ROUND}` }).waitFor()
  if (ROUND === '2') await garden.getByText('Written in round 1').waitFor()
  await shoot(page, `compose-example-${ROUND}`)
})

test('the streams take a token, and the console the admin’s', async (t) => {
  assert.equal((await fetch(`${WEIR_URL}/v1/stream/user/ana/data`)).status, 401)
  const page = await browser.page(t, { mayFail: /401/ })
  await page.goto(`${WEIR_URL}/console/`)
  await page.getByRole('dialog').locator('input').fill(ADMIN_TOKEN.trim())
  await page.keyboard.press('Enter')
  await page.locator('#health.good').waitFor()
  await page.getByText('Bridge weir').waitFor()
})
