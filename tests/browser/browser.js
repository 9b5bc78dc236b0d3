// A headless Chromium (Debian's) driven by playwright-core, for tests of pages. Each test gets a page
// that fails it on any error in the page, and on anything that the page's own policy had to block.

import assert from 'node:assert/strict'
import { accessSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const PROGRAM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const PATIENCE_MS = 60_000

/** Where screenshots go, to be looked at. */
const SHOTS = process.env.WEIR_SCREENSHOTS

export class Browser {
  static async start() {
    try {
      accessSync(PROGRAM)
    } catch {
      throw new Error(`there is no ${PROGRAM}: scripts/deps installs Debian's chromium`)
    }
    const browser = new Browser()
    // No sandbox: tests run as root, where Chromium has none. The pages are our own.
    browser.chromium = await chromium.launch({ executablePath: PROGRAM, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] })
    return browser
  }

  /** A page of its own cookies and storage. mayFail: a pattern of errors in the console that a test
   * provokes. */
  async page(t, { theme = 'light', width = 1280, height = 900, mayFail } = {}) {
    const context = await this.chromium.newContext({ colorScheme: theme, viewport: { width, height }, reducedMotion: 'reduce', timezoneId: 'UTC', locale: 'en-GB' })
    const page = await context.newPage()
    const errors = []
    page.setDefaultTimeout(PATIENCE_MS)
    page.on('pageerror', (error) => errors.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error' && !mayFail?.test(message.text())) errors.push(message.text())
    })
    t.after(async () => {
      await context.close()
      assert.deepEqual(errors, [])
    })
    return page
  }

  close() {
    return this.chromium.close()
  }
}

export async function shoot(page, name) {
  if (!SHOTS) return
  mkdirSync(SHOTS, { recursive: true })
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true })
}

/** Nothing is wider than the window, apart from what scrolls by itself. */
export async function assertFits(page) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth])
  assert.ok(content <= window, `the page is ${content} wide in a window of ${window}`)
}
