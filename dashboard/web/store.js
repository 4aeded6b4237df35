// What every page shares: the server's catalogue, the connection and how fresh it is, whether updates are held, who sits here, and what
// the overview follows. Rows change many times a second; a page is told at most four times a second, at once after a quiet spell.
import { signal, batch, computed, effect } from '@preact/signals'
import { connect } from './live.js'
import { conditions, minuteOf, rangeIn, written } from './model.js'
import { useLocal } from './format.js'
import { route, set } from './router.js'

export const catalogue = signal(null) // GET /v1/metrics
export const failure = signal('') // why there is no catalogue
export const range = signal(null) // of the pages over time, as their address says
export const currency = signal('')
export const filters = signal([]) // [[label, value]], as the address says
export const scope = signal('') // the part of the address that the pages over time share
export const paused = signal(false)
export const held = signal(0)
export const fresh = signal({ state: 'connecting' })
export const state = computed(() => fresh.value.state)
/** Whether what is seen is not what is: no connection, or counting lags. A quiet shop is no such thing. */
export const aged = computed(() => ['offline', 'reconnecting', 'stale'].includes(state.value))
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

export const local = signal((new URLSearchParams(location.search).get('tz') ?? kept('weir-tz')) === 'local')
useLocal(local.value)
/** Times of the browser's own zone, or UTC. */
export function setLocal(on) {
  useLocal(on)
  local.value = on
  try { localStorage.setItem('weir-tz', on ? 'local' : 'utc') } catch { /* as above */ }
  set({ tz: on ? 'local' : '' })
}

export const feeds = {} // name → what a page over time reads: {rows, ready, error, missing, ignored}
let subs = [], wanted = []
let live = null
const lists = new Set() // of alerts

const REPAINT_MS = 250
let painted = 0, timer = 0
function changed() {
  if (paused.value && !waiting().some(f => f.sub.ready || f.sub.error)) { held.value++; return }
  if (timer) return
  timer = setTimeout(() => { timer = 0; painted = performance.now(); paint() }, Math.max(0, REPAINT_MS - (performance.now() - painted)))
}
const waiting = () => [...Object.values(feeds), ...lists].filter(f => f.sub && f.dirty && !f.ready) // for their first rows: also a paused page shows what it is asked for anew
function paint() {
  batch(() => {
    for (const f of paused.value ? waiting() : [...Object.values(feeds), ...lists]) {
      if (!f.sub || !f.dirty) continue
      Object.assign(f, { rows: new Map(f.sub.rows), ready: f.sub.ready || f.ready, error: f.sub.error, meta: f.sub.meta, dirty: false })
    }
    frames.value++
    if (!paused.value) held.value = 0
  })
}

export function setPaused(on) {
  paused.value = on
  if (!on) paint()
}

/** What the server takes of one connection: 20 frames a second, 40 at once. Ten are left to others. */
const BURST = 30, PER_SECOND = 20
let left = BURST, leftAt = 0, later = 0
function spend(n) {
  const now = performance.now()
  left = Math.min(BURST, left + (now - leftAt) / 1000 * PER_SECOND)
  leftAt = now
  const wait = (Math.min(n, BURST) - left) / PER_SECOND * 1000
  if (wait <= 0) left -= n
  return wait
}

/**
 * Follows exactly these: [{name, metric, filter, interval, except}]. The filters of the address that a metric's labels know are added, but for
 * the label `except`; those it does not know are told in the feed's `ignored`. What is followed already goes on. Who changes the range
 * faster than the server takes subscriptions waits a moment.
 */
export function follow(list) {
  wanted = list
  const before = { ...feeds }
  for (const name of Object.keys(feeds)) delete feeds[name]
  for (const { name, metric, filter, except, interval = 250 } of list) {
    const m = catalogue.value.metrics.find(m => m.name === metric), chosen = filters.value.filter(([label]) => label !== except)
    const where = chosen.filter(([label]) => m?.labels.includes(label)), ignored = [...new Set(chosen.map(([label]) => label).filter(label => !m?.labels.includes(label)))]
    const asked = where.length ? { ...filter, where: where.map(c => written([c])) } : filter, key = JSON.stringify([metric, asked, interval])
    const same = before[name]?.key === key && !before[name].error
    feeds[name] = same ? Object.assign(before[name], { ignored }) : { key, metric, filter: asked, interval, rows: new Map(), ready: false, error: null, missing: m ? '' : metric, ignored, sub: null }
  }
  frames.value++
  clearTimeout(later)
  subscribe()
}
function subscribe() {
  const all = Object.values(feeds), fresh = all.filter(f => !f.sub && !f.missing), kept = new Set(all.map(f => f.sub)), over = subs.filter(s => !kept.has(s))
  const wait = spend(fresh.length + over.length)
  if (wait > 0) { later = setTimeout(subscribe, wait); return }
  for (const feed of fresh) {
    const told = () => { feed.dirty = true; changed() }
    feed.sub = live.subscribe('metrics/' + feed.metric, feed.filter, { interval: feed.interval, onchange: told, onerror: told })
  }
  subs = all.map(f => f.sub).filter(Boolean)
  for (const s of over) s.close() // after the new ones, so that what both want goes on
}
export const unfollow = () => follow([])
/** Asks again for what could not be had. */
export const again = () => follow(wanted)

/** Follows a list of alerts by the filters of GET /v1/alerts: {rows, ready, error, meta, close}. Where it cannot be had it is asked for again. */
export function followAlerts(filter, interval = 250, told = () => {}) {
  const list = { rows: new Map(), ready: false, error: null, meta: null, sub: null, close }
  let again = 0
  function subscribe() {
    list.sub = live.subscribe('alerts', filter, { interval, onchange: () => { list.dirty = true; changed(); told() }, onerror: () => { list.dirty = true; changed(); clearTimeout(again); again = setTimeout(() => { list.sub.close(); subscribe() }, 5000) } })
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

/** Changes what the pages over time show: a range, from and to (both or none), a currency, filters. It is the address that changes. */
export function choose({ range: r, from, to, currency: c, where }) {
  set({ ...(r && { range: r, from: '', to: '' }), ...(from !== undefined && { from: from && minuteOf(from), to: to && minuteOf(to) }), ...(c && { currency: c }), ...(where && { where: written(where) }) }, false)
}
export const addFilter = (label, value) => choose({ where: [...filters.value.filter(([l, v]) => l !== label || v !== value), [label, value]] })
export const dropFilter = (label, value) => choose({ where: filters.value.filter(([l, v]) => l !== label || v !== value) })
export const hasFilter = (label, value) => filters.value.some(([l, v]) => l === label && v === value)

const OVER_TIME = ['', 'funnel'], SHARED = ['range', 'from', 'to', 'currency', 'where']
/** The address of a page over time, with what is shown now. */
export const overTime = page => '/' + page + scope.value

// The address says what is shown. Pages that show something else leave it as it was.
function readAddress() {
  const { path, params } = route.value, answer = catalogue.value?.overview
  if (!answer || !OVER_TIME.includes(path[0])) return
  batch(() => {
    const mark = Date.parse(fresh.peek().meta?.watermark ?? catalogue.value.meta.watermark ?? '') || Date.now(), r = rangeIn(params, answer.range, mark)
    if (r.name !== range.peek()?.name) range.value = r
    const known = answer.currencies.some(c => c.currency === params.get('currency')) || currencies().has(params.get('currency'))
    currency.value = known ? params.get('currency') : answer.currency
    if (written(filters.peek()) !== written(conditions(params.get('where')))) filters.value = conditions(params.get('where'))
    const shared = new URLSearchParams(SHARED.filter(n => params.get(n)).map(n => [n, params.get(n)])).toString()
    scope.value = shared && '?' + shared
  })
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

function adopt(body) { catalogue.value = body }

let newest = null // freshness changes with every frame; it is told twice a second, and at once when its state is another
function hear(f) {
  newest = f
  if (f.state !== fresh.peek().state) fresh.value = f
}

function begin(body) {
  live = connect({ onchange: hear })
  setInterval(() => { if (newest) fresh.value = newest }, 500)
  bell = followAlerts({ status: 'open', sort: 'newest', limit: '1' }, 1000, () => paused.value || countOpen())
  adopt(body)
  effect(readAddress)
}

/** Currencies come with the rows too: one that is new since the page opened can be chosen at once. */
export function currencies() {
  const seen = new Map((catalogue.value?.overview.currencies ?? []).map(c => [c.currency, c.exponent ?? 2]))
  for (const r of feeds.revenue?.rows.values() ?? []) if (!seen.has(r.labels.currency)) seen.set(r.labels.currency, r.exponent ?? 2)
  return seen
}
