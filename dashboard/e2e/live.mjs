// Updates come by themselves, can be held, and go on after the server was gone.
import test from 'node:test'
import assert from 'node:assert/strict'
import { agrees, chip, close, open, shows, text, tile } from './browser.mjs'
import { drawn } from './pages.mjs'

const created = text('.fun b')
const agreed = (page, shop) => agrees(page, 'orders created', created, async () => (await shop.created(24)).toLocaleString('en-GB'))

export function live(at) {
  test('updates arrive; while paused they are counted and held', async () => {
    const { browser, shop } = at(), page = await open(browser, shop.url + '/?range=24h')
    await drawn(page)
    const before = await agreed(page, shop)
    await shop.send(shop.next(150))
    assert.notEqual(await agreed(page, shop), before)
    await page.keyboard.press('p')
    await shows(page, 'the pause', `document.querySelector('.seg [aria-pressed=true]')?.textContent.startsWith('Paused')`, true)
    const now = await page.evaluate(created)
    await shop.send(shop.next(150))
    await shows(page, 'what is held', text('.held'), /^· [1-9]\d* updates held$/)
    assert.equal(await page.evaluate(created), now, 'a paused page moves')
    await page.keyboard.press('p')
    await agreed(page, shop)
    await close(page)
  })

  test('the address holds the state: a link opens the same page', async () => {
    const { browser, shop } = at(), { alerts } = await shop.get('/v1/alerts?status=open&severity=high&limit=50')
    const path = `/fraud/${alerts.at(-1).id}?sort=risk&severity=high`
    const page = await open(browser, shop.url + path, { author: 'ana' })
    await drawn(page)
    await shows(page, 'the chosen alert', `document.querySelector('.q[aria-selected=true]')?.dataset.id`, alerts.at(-1).id)
    await shows(page, 'the filter', text('.q-chips .chip'), 'High')
    await shows(page, 'the order', `document.querySelector('.q-head select').value`, 'risk')
    await shows(page, 'the address', `location.pathname + location.search`, path)
    await page.goto(shop.url + '/?range=6h&currency=USD')
    await drawn(page)
    await shows(page, 'the range', `document.body.textContent.includes('Last 6 h')`, true)
    await shows(page, 'the currency', tile('Revenue'), /^\$/)
    await page.reload()
    await shows(page, 'the currency after a reload', tile('Revenue'), /^\$/)
    await close(page)
  })

  test('a killed server is told of, and what changed meanwhile is there when it is back', async () => {
    const { browser, shop } = at(), page = await open(browser, shop.url + '/?range=24h')
    await drawn(page)
    const before = await agreed(page, shop)
    page.serverAway = true
    await shop.crash()
    await shows(page, 'the chip', chip, /^Reconnecting(in \d+ s|now)$/)
    assert.match(await page.evaluate(created), /^[1-9][\d,]*$/, 'the last values stay')
    await shop.start()
    await shows(page, 'the chip', chip, /^(Live|Stale)/)
    page.serverAway = false
    await shop.send(shop.next(150))
    assert.notEqual(await agreed(page, shop), before)
    await shows(page, 'the chip', chip, /^Live· (.* behind|quiet for .*)$/) // quiet, where nothing has happened for 5 s by now
    await close(page)
  })
}
