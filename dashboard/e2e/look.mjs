// Every page opens, shows what the query API tells, fits into a phone, and is accessible in both themes.
import test from 'node:test'
import assert from 'node:assert/strict'
import { accessible, agrees, chip, close, fits, open, shows, text, tile } from './browser.mjs'
import { drawn, pages } from './pages.mjs'

/** What format.js of the page makes of a value: numbers are compared, and how they are written is the page's own affair. */
const written = (page, expression) => page.evaluate(`import('/format.js').then(f => ${expression})`)

const RIGHT = {
  async overview(page, shop) {
    const { overview } = await shop.get('/v1/metrics'), { exponent = 2 } = overview.currencies.find(c => c.currency === overview.currency)
    await agrees(page, 'revenue', tile('Revenue'), async () => written(page, `f.moneyText(${await shop.total('revenue', { where: 'currency:' + overview.currency, of: 'value' })}, '${overview.currency}', ${exponent})`))
    await agrees(page, 'payment success', tile('Payment success'), async () => {
      const captured = await shop.total('payments_captured'), failed = await shop.total('payments_failed')
      return written(page, `f.percent(${captured / (captured + failed)}) + '%'`)
    })
    await agrees(page, 'open alerts', tile('Open alerts'), async () => String((await shop.get('/v1/alerts?status=open&limit=1')).total))
    await agrees(page, 'orders created', text('.fun b'), async () => written(page, `f.number(${await shop.created(1)})`))
  },
  async fraud(page, shop) {
    const { alerts } = await shop.get('/v1/alerts?status=open&status=acknowledged&sort=priority&limit=100')
    const rows = await written(page, `${JSON.stringify(alerts.map(a => [a.title, a.case_score, a.score, a.at_risk]))}.map(([t, c, s, m]) => [t, Math.max(c, s), f.exact(m)].join(' ')).join('; ')`)
    await shows(page, 'the queue', `[...document.querySelectorAll('.q')].map(q => ['.rule', '.score b', '.amt'].map(s => q.querySelector(s).textContent).join(' ')).join('; ')`, rows)
    const id = await page.evaluate(`location.pathname.split('/')[2]`), { alert } = await shop.get('/v1/alerts/' + id)
    await shows(page, 'the alert', text('.dhead .title'), alert.title)
    await shows(page, 'its reasons', `document.querySelectorAll('.reason .m').length > 0`, true)
  },
  async order(page, shop) {
    const o = await shop.get('/v1/orders/' + await page.evaluate(`location.pathname.split('/')[2]`))
    await shows(page, 'the total', `document.querySelector('.facts dd').firstChild.textContent.trim()`, await written(page, `f.exact(${JSON.stringify(o.facts.total)})`))
    await shows(page, 'each event by its place', `[...document.querySelectorAll('.lrow button.tpo')].map(e => e.textContent).sort().join(' ')`, o.timeline.map(e => `${e.topic}/${e.partition}@${e.offset}`).sort().join(' '))
  },
  async customer(page, shop) {
    const c = await shop.get('/v1/customers/' + await page.evaluate(`location.pathname.split('/')[2]`))
    await shows(page, 'the orders', `[...document.querySelectorAll('[aria-labelledby=p-orders] td:first-child')].map(e => e.textContent).join(' ')`, c.orders.toSorted((a, b) => a.created_at < b.created_at ? 1 : -1).map(o => o.order_id).join(' '))
    await shows(page, 'the case score', `document.querySelector('.facts dd').textContent`, `${c.score} of 100`)
  },
  async entity(page, shop) {
    const e = await shop.get('/v1/entities/ip/' + await page.evaluate(`location.pathname.split('/')[3]`))
    await shows(page, 'the alerts', `document.querySelectorAll('[aria-labelledby=p-alerts] tbody tr').length`, e.alerts.length)
  },
  async rules(page, shop) {
    const { rules } = await shop.get('/v1/rules')
    await shows(page, 'a row for each rule', `document.querySelectorAll('tbody tr').length`, rules.length)
  },
  async rule(page, shop) {
    const { rule } = await shop.get('/v1/rules/' + await page.evaluate(`location.pathname.split('/')[2]`))
    await shows(page, 'the definition', `document.querySelector('textarea').value`, rule.text)
    await shows(page, 'its state', text('.head .pill'), rule.state[0].toUpperCase() + rule.state.slice(1))
  },
}

export function look(at) {
  test('every page opens, is right, accessible and fits into a phone', async t => {
    const { browser, shop } = at()
    for (const { name, path } of await pages(shop)) {
      await t.test(name, async () => {
        const page = await open(browser, shop.url + path, { author: 'ana' })
        await drawn(page)
        await shows(page, 'the freshness chip', chip, /^Live· (.* behind|quiet for .*)$/) // quiet, where nothing happens any more
        await RIGHT[name]?.(page, shop)
        assert.deepEqual(await accessible(page, name), [], 'axe')
        await fits(page, name)
        await page.setViewportSize({ width: 360, height: 780 })
        await fits(page, name)
        assert.deepEqual(await accessible(page, name + ' at 360 px'), [], 'axe')
        await close(page)
      })
    }
  })
}
