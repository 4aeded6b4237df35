// The dashboard as people use it: one shop, one browser, one thing after the other. cmd/weir's TestDashboardInABrowser runs it.
import { after, before } from 'node:test'
import { launch } from './browser.mjs'
import { live } from './live.mjs'
import { look } from './look.mjs'
import { Shop } from './shop.mjs'
import { storybook } from './storybook.mjs'
import { work } from './work.mjs'

let browser, shop
const at = () => ({ browser, shop })
before(async () => { [shop, browser] = await Promise.all([Shop.open(), launch()]) })
after(async () => { await browser?.close(); await shop?.close() })

look(at)
work(at)
live(at)
storybook(at)
