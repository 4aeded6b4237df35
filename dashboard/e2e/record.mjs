// Writes web/storybook/canned.json: what a real server told each page, for the storybook to tell again. Run it when a page asks for something new.
import { writeFileSync } from 'node:fs'
import { launch, open } from './browser.mjs'
import { drawn, pages } from './pages.mjs'
import { Shop } from './shop.mjs'

const MAX_ROWS = 600 // of a subscription: enough to draw from, small enough to be in the binary
const shop = await Shop.open(), browser = await launch()
const canned = { pages: await pages(shop), rest: {}, frames: {} }
for (const { path } of canned.pages) {
  const page = await open(browser, null, { author: 'ana' }), waits = []
  page.on('response', res => {
    const { pathname, search } = new URL(res.url())
    if (pathname.startsWith('/v1/') && res.request().method() === 'GET' && res.status() === 200) waits.push(res.json().then(body => { canned.rest[pathname + search] ??= body }, () => {}))
  })
  const asked = new Map(), whole = new Map()
  page.on('websocket', ws => {
    ws.on('framesent', ({ payload }) => { const f = JSON.parse(payload); if (f.type === 'sub') asked.set(f.id, f) })
    ws.on('framereceived', ({ payload }) => {
      const f = JSON.parse(payload), sub = asked.get(f.id)
      if (f.type !== 'snap' || !sub) return
      const rows = whole.get(f.id) ?? new Map() // a snapshot may come in pages
      for (const [key, row] of f.rows) rows.set(key, row)
      f.more ? whole.set(f.id, rows) : whole.delete(f.id)
      if (!f.more) canned.frames[keyOf(sub)] = { ...f, rows: [...rows].slice(-MAX_ROWS), id: undefined }
    })
  })
  await page.goto(shop.url + path)
  await drawn(page)
  await Promise.all(waits)
  await page.context().close()
}
await browser.close()
await shop.close()
const file = new URL('../web/storybook/canned.json', import.meta.url)
const lines = o => '{\n' + Object.entries(o).sort().map(([k, v]) => JSON.stringify(k) + ':' + JSON.stringify(v)).join(',\n') + '\n}'
writeFileSync(file, `{"pages":${JSON.stringify(canned.pages)},\n"rest":${lines(canned.rest)},\n"frames":${lines(canned.frames)}}\n`)

/** The same key as storybook.js makes. */
function keyOf({ topic, filter }) { return topic + '?' + new URLSearchParams(Object.entries(filter ?? {}).map(([k, v]) => [k, [].concat(v).join(',')]).sort()) }
