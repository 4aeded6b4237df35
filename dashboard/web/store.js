// What every page shares: the server's catalogue, the connection and how fresh it is, whether updates are held, who sits here, and what
// the overview follows. Rows change many times a second; a page is told at most four times a second, at once after a quiet spell.
import { signal, batch } from '@preact/signals'
import { connect } from './live.js'
import { rangeOf, hasPrevious, back } from './model.js'
import { route, set } from './router.js'

export const catalogue = signal(null) // GET /v1/metrics
export const failure = signal('') // why there is no catalogue
export const range = signal(null)
export const currency = signal('')
export const paused = signal(false)
export const held = signal(0)
export const fresh = signal({ state: 'connecting' })
export const frames = signal(0) // grows with every repaint
export const open = signal(null) // alerts that wait for somebody: {total, critical}; null: not known

const kept = name => { try { return localStorage.getItem(name) ?? '' } catch { return '' } } // private windows keep nothing
export const me = signal(kept('weir-author')) // whose decisions these are
export function callMe(name) {
  me.value = name
  try { localStorage.setItem('weir-author', name) } catch { /* as above */ }
}

/** The time that ages are told from: the clock, or for a replay of old data the watermark. */
export function present() {
  const now = Date.now(), mark = Date.parse(fresh.value.meta?.watermark ?? '')
  return now - mark > 3600e3 ? mark : now
}

export const feeds = {} // name → what the overview reads: {rows, ready, error, missing}
let subs = []
let live = null
const lists = new Set() // of alerts

const REPAINT_MS = 250
let painted = 0, timer = 0
function changed() {
  if (paused.value) { held.value++; return }
  if (timer) return
  timer = setTimeout(() => { timer = 0; painted = performance.now(); paint() }, Math.max(0, REPAINT_MS - (performance.now() - painted)))
}
function paint() {
  batch(() => {
    for (const f of [...Object.values(feeds), ...lists]) if (f?.sub) Object.assign(f, { rows: new Map(f.sub.rows), ready: f.sub.ready || f.ready, error: f.sub.error, meta: f.sub.meta })
    frames.value++
    held.value = 0
  })
}

export function setPaused(on) {
  paused.value = on
  if (!on) paint()
}

function watch(name, metric, filter, interval = 250) {
  const known = catalogue.value.metrics.some(m => m.name === metric)
  const feed = feeds[name] = { rows: new Map(), ready: false, error: null, missing: known ? '' : metric, sub: null }
  if (!known) return
  feed.sub = live.subscribe('metrics/' + metric, filter, { interval, onchange: changed, onerror: changed })
  subs.push(feed.sub)
}

/** Follows everything that the overview shows over the range, until unfollow. */
export function follow() {
  const before = subs
  subs = []
  const r = range.value, from = back(hasPrevious(r) ? 2 * r.ms : r.ms), w = { window: r.window, from }
  watch('orders', 'orders', w, 100)
  watch('revenue', 'revenue', w, 100)
  watch('captured', 'payments_captured', w)
  watch('failed', 'payments_failed', w)
  watch('shipments', 'shipments_dispatched', w)
  watch('deliveries', 'deliveries', { ...w, by: 'on_time' })
  watch('ship', 'time_to_ship', { ...w, quantiles: '0.5' }, 1000)
  for (const [suffix, range] of [['', { from: back(r.ms) }], ['Before', { from: back(2 * r.ms), to: back(r.ms) }]]) {
    if (suffix && !hasPrevious(r)) { for (const n of ['shipAll', 'funnel', 'categories']) feeds[n + suffix] = null; continue }
    const all = { window: 'all', ...range }
    watch('shipAll' + suffix, 'time_to_ship', { ...all, quantiles: '0.5' }, 1000)
    watch('funnel' + suffix, 'funnel', { ...all, by: 'stage' }, suffix ? 2000 : 250)
    watch('categories' + suffix, 'item_revenue', { ...all, by: 'category' }, suffix ? 2000 : 250)
  }
  for (const s of before) s.close() // after the new ones, so that what both want goes on
  frames.value++
}

export function unfollow() {
  for (const s of subs) s.close()
  subs = []
}

/** Follows a list of alerts by the filters of GET /v1/alerts: {rows, ready, error, meta, close}. Where it cannot be had it is asked for again. */
export function followAlerts(filter, interval = 250, told = () => {}) {
  const list = { rows: new Map(), ready: false, error: null, meta: null, sub: null, close }
  let again = 0
  function subscribe() {
    list.sub = live.subscribe('alerts', filter, { interval, onchange: () => { changed(); told() }, onerror: () => { changed(); clearTimeout(again); again = setTimeout(() => { list.sub.close(); subscribe() }, 5000) } })
  }
  function close() { clearTimeout(again); list.sub.close(); lists.delete(list) }
  subscribe()
  lists.add(list)
  return list
}

let bell = null // follows the newest open alert: whether there are alerts at all is learnt without a request that fails

/** Counts the alerts that are open, for the rail. */
export async function countOpen() {
  if (!bell?.sub.ready || bell.sub.error) { if (bell?.sub.error?.status === 503) open.value = null; return }
  try {
    const res = await fetch('/v1/alerts?status=open&limit=1')
    if (!res.ok) throw res
    const body = await res.json()
    open.value = { total: body.total, critical: body.facets.severity.critical ?? 0 }
  } catch (e) { if (e.status === 503) open.value = null } // without an answer the last count stays
}

export function choose({ range: r, currency: c }) {
  batch(() => {
    if (r) { range.value = rangeOf(r); follow() }
    if (c) currency.value = c
  })
  set({ range: range.value.name, currency: currency.value })
}

export const retry = () => live?.retry()

/** Asks what there is until the server answers, then connects. A shop that has no orders yet is asked again now and then. */
export async function start() {
  for (let attempt = 0; !catalogue.value; attempt++) {
    try {
      const res = await fetch('/v1/metrics')
      const body = await res.json()
      if (!res.ok) throw new Error(body.detail ?? res.statusText)
      failure.value = ''
      begin(body)
    } catch (e) {
      failure.value = e instanceof TypeError ? 'The server does not answer.' : e.message
      await new Promise(done => setTimeout(done, Math.min(5000, 500 * 2 ** attempt)))
    }
  }
  setInterval(() => document.hidden || paused.value || countOpen(), 5000)
  while (!currency.value) { // no order yet: ask again until there is one
    await new Promise(done => setTimeout(done, 2000))
    if (document.hidden) continue
    try {
      const body = await (await fetch('/v1/metrics')).json()
      if (body.overview?.currency) adopt(body)
    } catch { /* the socket tells that the server is away */ }
  }
}

function adopt(body) {
  const { params } = route.value
  batch(() => {
    catalogue.value = body
    currency.value = body.overview.currencies.some(c => c.currency === params.get('currency')) ? params.get('currency') : body.overview.currency
    if (!params.has('range') && range.value.name !== body.overview.range) { range.value = rangeOf(body.overview.range); if (subs.length) follow() }
  })
}

function begin(body) {
  live = connect({ onchange: f => { fresh.value = f } })
  bell = followAlerts({ status: 'open', sort: 'newest', limit: '1' }, 1000, () => paused.value || countOpen())
  batch(() => {
    catalogue.value = body
    range.value = rangeOf(route.value.params.get('range') ?? body.overview.range)
    if (body.overview.currency) adopt(body)
  })
}

/** Currencies come with the rows too: one that is new since the page opened can be chosen at once. */
export function currencies() {
  const seen = new Map((catalogue.value?.overview.currencies ?? []).map(c => [c.currency, c.exponent ?? 2]))
  for (const r of feeds.revenue?.rows.values() ?? []) if (!seen.has(r.labels.currency)) seen.set(r.labels.currency, r.exponent ?? 2)
  return seen
}
