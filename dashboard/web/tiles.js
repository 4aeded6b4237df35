// The six tiles of the overview: a value, its change against the period before, and how it went.
import { html } from './html.js'
import { Icon } from './icons.js'
import { Spark, Tile, points, relative } from './parts.js'
import { query, useAsk } from './api.js'
import { feeds, open, overTime, aged, state } from './store.js'
import { plural } from './say.js'
import * as m from './model.js'
import * as f from './format.js'

const minutes = s => Math.abs(s) < 120 ? Math.round(Math.abs(s)) + ' s' : Math.abs(s) < 7200 ? Math.round(Math.abs(s) / 60) + ' min' : f.durationText(Math.abs(s))
const delta = (now, was) => { const c = was ? (now - was) / was : null; return { v: c, text: relative(c) } }
const one = rows => rows?.values().next().value

export function Tiles({ v }) {
  const { line } = v, per = m.STEP_WORD[v.r.window], span = v.r.from ? 'in range' : v.r.label.replace('Last', 'last'), away = aged.value
  const list = s => m.thin(s.now.slice(0, Math.max(2, line.closed || s.now.length)))
  const tile = (names, label, href, build) => {
    const need = names.map(n => feeds[n]), missing = need.find(x => x?.missing), failed = need.find(x => x?.error)
    if (missing) return html`<${Tile} label=${label} href=${href} value=${[['–', '']]} muted note="not counted here" />`
    if (failed) return html`<${Tile} label=${label} href=${href} value=${[['–', '']]} muted note="could not be read" />`
    if (need.some(x => !x?.ready)) return html`<${Waiting} label=${label} />`
    const { more, ...rest } = build(), ignored = [...new Set(need.flatMap(x => x.ignored))]
    return html`<${Tile} label=${label} href=${href} muted=${away} apart=${ignored.length > 0 && `Not filtered: not counted by ${ignored.join(' or ')}`} more=${state.value === 'recovering' ? 'at least' : more} ...${rest} />`
  }
  const ratio = (part, whole) => m.share(part, whole, line), shares = s => html`<${Spark} list=${m.thin(s.list.slice(0, Math.max(2, line.closed)))} quiet=${away} />`
  return [
    tile(['orders'], `${v.things} per ${per}`, '#p-orders', () => {
      const now = m.recent(v.orders, line), was = m.recentBefore(v.orders, line), n = f.short(now == null ? null : now < 10 ? Math.round(now * 10) / 10 : Math.round(now))
      return { value: [[now != null && now < 10 ? f.number(now, 1) : n.text, n.unit]], delta: delta(now, was), spark: html`<${Spark} list=${list(v.orders)} quiet=${away} />` }
    }),
    tile(['revenue'], `Revenue, ${span}`, '#p-revenue', () => {
      const p = f.money(m.sum(v.revenue.now), v.cur, v.exponent), c = m.change(v.revenue, line)
      return { value: [[p.text, p.unit]], delta: { v: c, text: relative(c) }, note: v.cur ? '' : 'no currency yet', spark: html`<${Spark} list=${list(v.revenue)} quiet=${away} />` }
    }),
    tile(['captured', 'failed'], 'Payment success', overTime('funnel'), () => {
      const s = ratio(v.captured, m.plus(v.captured, v.failed)), d = s.now != null && s.before != null ? s.now - s.before : null
      return { value: [[f.percent(s.now), s.now == null ? '' : '%']], delta: { v: d, text: points(d), good: 1 }, note: s.now == null ? 'no payments yet' : '', spark: shares(s) }
    }),
    tile(['shipAll'], 'Time to ship, p50', overTime('funnel'), () => {
      const now = one(feeds.shipAll.rows)?.value ?? null, was = one(feeds.shipAllBefore?.rows)?.value ?? null, d = now != null && was != null ? now - was : null
      return { value: f.duration(now), delta: { v: d == null ? null : d / (was || 1), text: d == null ? '' : minutes(d), good: -1 }, note: now == null ? 'nothing shipped yet' : '', spark: html`<${Spark} list=${m.thin(v.ship.now.slice(0, Math.max(2, line.closed)).map(x => x || null))} quiet=${away} />` }
    }),
    open.value ? html`<${OpenAlerts} v=${v} quiet=${away} />` : tile(['shipments'], `Shipments, ${span}`, overTime('funnel'), () => {
      const n = f.short(m.sum(v.shipments.now)), c = m.change(v.shipments, line)
      return { value: [[n.text, n.unit]], delta: { v: c, text: relative(c) }, spark: html`<${Spark} list=${list(v.shipments)} quiet=${away} />` }
    }),
    tile(['deliveries'], 'Late deliveries', overTime('funnel'), () => {
      const s = ratio(v.late, v.dated), d = s.now != null && s.before != null ? s.now - s.before : null
      return { value: [[f.percent(s.now), s.now == null ? '' : '%']], delta: { v: d, text: points(d), good: -1 }, note: s.now == null ? 'no promise yet' : '', spark: shares(s) }
    }),
  ]
}

const Waiting = ({ label }) => html`<section class="panel tile" aria-label=${label} aria-busy="true"><div class="k">${label}</div><div class="v"><div class="sk w"></div></div><div class="spark sk"></div></section>`

/** How many wait, and how many were raised in the range against the period before. The line counts the newest, at most 500. */
function OpenAlerts({ v, quiet }) {
  const { line } = v, ask = (n, limit) => { const b = m.bounds(v.r, n); return '/v1/alerts?' + query({ started_from: b.from, started_to: b.to, sort: 'newest', limit }) }
  const now = useAsk(ask(0, 500), { every: 15_000 }), was = useAsk(ask(1, 1), { every: 60_000 }), per = Math.max(1, Math.ceil(line.count / 48)) * line.step
  const kept = now.data?.alerts ?? [], bins = new Array(Math.ceil(line.count * line.step / per)).fill(0)
  for (const a of kept) { const i = Math.floor((Date.parse(a.started) - line.first) / per); if (i >= 0 && i < bins.length) bins[i]++ }
  const d = now.data && was.data ? now.data.total - was.data.total : null, { total, critical } = open.value
  return html`<section class="panel tile" aria-label="Open alerts"><div class="k"><a class="cover" href="/fraud">Open alerts</a></div><div class=${'v' + (quiet ? ' muted' : '')}>${f.number(total)}</div>
    <div class="d ell"><span class=${'delta' + (d > 0 ? ' bad' : d < 0 ? ' good' : '')} title=${now.data ? `${plural(now.data.total, 'alert')} raised in this range` : ''}>${d != null && html`<${Icon} name=${d > 0 ? 'up' : d < 0 ? 'dn' : 'flat'} /><span class="sr">${d > 0 ? 'up' : d < 0 ? 'down' : 'unchanged'} </span>${f.number(Math.abs(d))}`}
      <span>${d != null && '· '}${critical ? `${f.number(critical)} critical` : total ? 'none critical' : 'nothing waits'}</span></span></div>
    ${kept.length > 0 ? html`<${Spark} list=${bins} quiet=${quiet} />` : html`<div class="ch spark"></div>`}</section>`
}
