// What the overview costs a browser while a shop sells: time to the first paint, long tasks, memory. WEIR_BROWSER_BENCH says for how long (10m).
// It asserts nothing: what it prints depends on the machine, and on what else that does.
import { launch, open } from './browser.mjs'
import { drawn } from './pages.mjs'
import { Shop } from './shop.mjs'

const [, n, unit] = /^(\d+)(s|m)$/.exec(process.env.WEIR_BROWSER_BENCH ?? '10m') ?? ['', '10', 'm'], seconds = n * (unit === 'm' ? 60 : 1)
const ORDERS_PER_SECOND = 20, SAMPLES = 20, wait = ms => new Promise(done => setTimeout(done, ms))

const shop = await Shop.open()
await shop.crash()
await shop.start(ORDERS_PER_SECOND)
const browser = await launch(), page = await open(browser)
let deltas = 0, bytes = 0
page.on('websocket', ws => ws.on('framereceived', ({ payload }) => { bytes += payload.length; if (payload.includes('"type":"delta"')) deltas++ }))
await page.addInitScript(() => {
  window.tasks = []
  new PerformanceObserver(list => window.tasks.push(...list.getEntries().map(e => [e.startTime, e.duration]))).observe({ type: 'longtask', buffered: true })
})
await page.goto(shop.url + '/?range=1h')
await drawn(page)
const paint = await page.evaluate(`performance.getEntriesByName('first-contentful-paint')[0].startTime`)
const settled = await page.evaluate('performance.now()')
const cdp = await page.context().newCDPSession(page)
const heap = async () => { await cdp.send('HeapProfiler.collectGarbage'); return (await cdp.send('Runtime.getHeapUsage')).usedSize / 1e6 }
await wait(5000)
const began = Date.now(), first = deltas, heaps = [await heap()]
for (let i = 0; i < SAMPLES; i++) { await wait(seconds * 1000 / SAMPLES); heaps.push(await heap()) }
const took = (Date.now() - began) / 1000, tasks = await page.evaluate('window.tasks'), cpu = (await cdp.send('Performance.enable'), await cdp.send('Performance.getMetrics')).metrics
const longest = list => list.reduce((m, [, d]) => Math.max(m, d), 0).toFixed(0)
const early = tasks.filter(([at]) => at < settled), late = tasks.filter(([at]) => at >= settled)
console.log(`first contentful paint   ${paint.toFixed(0)} ms, drawn after ${settled.toFixed(0)} ms
deltas                   ${((deltas - first) / took).toFixed(1)} a second over ${took.toFixed(0)} s, ${(bytes / 1e6).toFixed(1)} MB received
long tasks (over 50 ms)  ${early.length} while it opened (longest ${longest(early)} ms), ${late.length} after (longest ${longest(late)} ms)
script                   ${(cpu.find(m => m.name === 'ScriptDuration').value / took * 100).toFixed(1)} % of a core, all tasks ${(cpu.find(m => m.name === 'TaskDuration').value / took * 100).toFixed(1)} %
heap after a collection  ${heaps.map(h => h.toFixed(1)).join(' ')} MB
wrong                    ${JSON.stringify(page.wrong)}`)
await browser.close()
await shop.close()
