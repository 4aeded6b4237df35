// The browser: pages that remember what went wrong in them.
import { chromium } from 'playwright-core'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const EXECUTABLE = process.env.WEIR_CHROMIUM ?? '/usr/bin/chromium'
const PATIENCE_MS = 90_000 // it only ends a test that would never end

export const launch = () => chromium.launch({
  executablePath: EXECUTABLE, headless: true,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

/** A page in a profile of its own. author: who sits there. away: the server may be gone, so requests that it does not answer are no errors. */
export async function open(browser, url, { width = 1280, height = 860, author = '', theme = 'light', ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce', locale: 'en-GB', timezoneId: 'UTC', ...options })
  context.setDefaultTimeout(PATIENCE_MS)
  if (author) await context.addInitScript(name => localStorage.setItem('weir-author', name), author)
  const page = await context.newPage()
  page.wrong = []
  page.serverAway = false
  page.on('console', m => { if (m.type() === 'error' || m.type() === 'warning') wrong(page, `console ${m.type()}: ${m.text()}`) })
  page.on('pageerror', e => page.wrong.push('exception: ' + e.stack))
  page.on('requestfailed', r => { if (r.failure()?.errorText !== 'net::ERR_ABORTED') wrong(page, `request: ${r.url()} ${r.failure()?.errorText}`) }) // a page that is left aborts what it asked
  page.on('response', r => { if (r.status() >= 400) wrong(page, `request: ${r.url()} ${r.status()}`) })
  if (url) await page.goto(url)
  return page
}

function wrong(page, what) { if (!page.serverAway) page.wrong.push(what) }

/** Closes the page; nothing may have gone wrong in it. */
export async function close(page) {
  await page.context().close()
  assert.deepEqual(page.wrong, [], 'errors in the browser')
}

/** Waits until the expression, evaluated in the page, is what is wanted. */
export async function shows(page, what, expression, want) {
  let last
  for (const end = Date.now() + PATIENCE_MS; ;) {
    last = await page.evaluate(expression).catch(e => e.message)
    if (want instanceof RegExp ? want.test(last) : last === want) return last
    if (Date.now() > end) assert.fail(`${what} is ${JSON.stringify(last)}, not ${want}`)
    await new Promise(done => setTimeout(done, 30))
  }
}

/** Waits until the page shows what the server answers. Both may move: the clock of a shop in which nothing happens goes on, and ranges with it. */
export async function agrees(page, what, expression, ask) {
  let want, got
  for (const end = Date.now() + PATIENCE_MS; ;) {
    want = await ask()
    got = await page.evaluate(expression).catch(e => e.message)
    if (got === want) return got
    if (Date.now() > end) assert.fail(`${what} is ${JSON.stringify(got)}, the server says ${JSON.stringify(want)}`)
    await new Promise(done => setTimeout(done, 30))
  }
}

export const text = selector => `document.querySelector(${JSON.stringify(selector)})?.textContent.replace(/\\s+/g, ' ').trim()`
export const tile = label => `[...document.querySelectorAll('.tile')].find(t => t.querySelector('.k')?.textContent.startsWith(${JSON.stringify(label)}))?.querySelector('.v').textContent.replace(/\\s+/g, ' ').trim()`
export const chip = text('.fresh')

/** No part of the page is wider than the window. */
export async function fits(page, what) {
  await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth, null).catch(() => {}) // what is drawn to size is drawn anew
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth
    ? [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map(e => e.tagName + '.' + e.className) : [])
  assert.deepEqual(wide, [], `${what} is wider than its window of ${page.viewportSize().width} px`)
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** What axe finds in the page as it stands: one line for each node. only: names of rules, where the others were tried already. */
export async function violations(page, only) {
  if (!await page.evaluate('!!globalThis.axe')) await page.evaluate(AXE)
  return page.evaluate(async ([tags, only]) => {
    const { violations } = await axe.run(document, { runOnly: only ? { type: 'rule', values: only } : { type: 'tag', values: tags }, resultTypes: ['violations'] })
    return violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.target.join(' ')}: ${(n.failureSummary ?? '').replace(/\s+/g, ' ').slice(0, 220)}`))
  }, [TAGS, only])
}

/** axe in light, then in dark, where only colours differ. */
export async function accessible(page, what) {
  const found = []
  for (const theme of ['light', 'dark']) {
    await page.evaluate(t => { document.documentElement.dataset.theme = t }, theme)
    found.push(...(await violations(page, theme === 'dark' ? ['color-contrast', 'link-in-text-block'] : undefined)).map(v => `${what}, ${theme}: ${v}`))
  }
  return found
}
