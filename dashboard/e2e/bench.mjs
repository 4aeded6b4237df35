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
const collected = [] // when the heap was measured: the collection is ours, and no task of the page
const heap = async () => {
  const from = await page.evaluate('performance.now()')
  await cdp.send('HeapProfiler.collectGarbage')
  collected.push([from, await page.evaluate('performance.now()')])
  return (await cdp.send('Runtime.getHeapUsage')).usedSize / 1e6
}
const spent = async name => (await cdp.send('Performance.getMetrics')).metrics.find(m => m.name === name).value
await cdp.send('Performance.enable')
await wait(5000)
const heaps = [await heap()], began = Date.now(), first = deltas, script = await spent('ScriptDuration'), task = await spent('TaskDuration')
for (let i = 0; i < SAMPLES; i++) { await wait(seconds * 1000 / SAMPLES); heaps.push(await heap()) }
const took = (Date.now() - began) / 1000, tasks = await page.evaluate('window.tasks')
const share = async (name, before) => ((await spent(name) - before) / took * 100).toFixed(1)
const longest = list => list.reduce((m, [, d]) => Math.max(m, d), 0).toFixed(0)
const early = tasks.filter(([at]) => at < settled), late = tasks.filter(([at, ms]) => at >= settled && !collected.some(([from, to]) => at < to && at + ms > from))
console.log(`first contentful paint   ${paint.toFixed(0)} ms, drawn after ${settled.toFixed(0)} ms
deltas                   ${((deltas - first) / took).toFixed(1)} a second over ${took.toFixed(0)} s, ${(bytes / 1e6).toFixed(1)} MB received
long tasks (over 50 ms)  ${early.length} while it opened (longest ${longest(early)} ms), ${late.length} after (longest ${longest(late)} ms)
script                   ${await share('ScriptDuration', script)} % of a core, all tasks ${await share('TaskDuration', task)} %, collections included
heap after a collection  ${heaps.map(h => h.toFixed(1)).join(' ')} MB
wrong                    ${JSON.stringify(page.wrong)}`)
await browser.close()
await shop.close()
