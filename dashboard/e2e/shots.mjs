// Photographs every page into the folder that is named: light and dark, wide and on a phone.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { launch, open } from './browser.mjs'
import { drawn, pages } from './pages.mjs'
import { Shop } from './shop.mjs'

const folder = process.argv[2] ?? 'shots'
mkdirSync(folder, { recursive: true })
const [shop, browser] = await Promise.all([Shop.open(), launch()])
for (const { name, path } of await pages(shop)) {
  for (const [kind, options] of [['light', {}], ['dark', { theme: 'dark' }], ['phone', { width: 390, height: 844 }]]) {
    const page = await open(browser, shop.url + path, { author: 'ana', ...options })
    await drawn(page)
    await page.screenshot({ path: join(folder, `${name}-${kind}.png`), fullPage: kind === 'phone' })
    if (kind === 'light') await page.screenshot({ path: join(folder, `${name}-whole.png`), fullPage: true })
    await page.context().close()
  }
}
await browser.close()
await shop.close()
console.log('see ' + folder)
