// The overview: six tiles, orders and revenue over time, the funnel and the categories that sell.
import { useEffect, useRef } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Panel, Tile, Delta, Spark, Stateful, State, Strip, relative, points } from './parts.js'
import { TimeBars } from './chart.js'
import { feeds, frames, range, currency, fresh, open, catalogue, currencies, choose, followAlerts, present, unfollow } from './store.js'
import { comparing } from './queue.js'
import { to } from './router.js'
import { entityOf, short } from './say.js'
import * as m from './model.js'
import * as f from './format.js'

const minutes = s => Math.abs(s) < 120 ? Math.round(Math.abs(s)) + ' s' : Math.abs(s) < 7200 ? Math.round(Math.abs(s) / 60) + ' min' : f.durationText(Math.abs(s))

/** Everything that the page shows, from the rows as they are now. */
function look() {
  const r = range.value, cur = currency.value, exponent = currencies().get(cur) ?? 2
  const meta = fresh.value.meta ?? feeds.orders?.sub?.meta
  const rowsOf = name => feeds[name]?.rows ?? new Map()
  let mark = meta?.watermark ? Date.parse(meta.watermark) : 0
  if (!mark) for (const row of rowsOf('orders').values()) mark = Math.max(mark, Date.parse(row.start))
  const line = m.timeline(r, mark || Date.now(), [rowsOf('orders'), rowsOf('revenue')])
  const s = (name, value, keep) => m.series(rowsOf(name), line, value, keep)
  const inCurrency = row => row.labels.currency === cur
  return { r, cur, exponent, line, mark, previous: m.hasPrevious(r),
    orders: s('orders', m.count), revenue: s('revenue', m.amount, inCurrency),
    captured: s('captured', m.count), failed: s('failed', m.count), shipments: s('shipments', m.count),
    late: s('deliveries', m.count, row => row.labels.on_time === 'false'), dated: s('deliveries', m.count, row => row.labels.on_time !== 'unknown' && row.labels.on_time !== '(none)'),
    ship: s('ship', row => row.value ?? 0),
    inCurrency }
}

// A strip takes its room from the chart below it, so that the panel keeps its size.
const CHART = 212, STRIP = 28
const chartHeight = () => ['recovering', 'reconnecting', 'offline'].includes(fresh.value.state) ? CHART - STRIP : CHART

const one = rows => rows?.values().next().value

export function Overview() {
  frames.value // repaint
  const newest = useRef(null)
  useEffect(() => {
    choose({ range: range.value.name }) // follows it
    newest.current = followAlerts({ status: 'open', sort: 'newest', limit: '5' }, 500)
    return () => { unfollow(); newest.current.close() }
  }, [])
  const v = look()
  if (!v.r) return null
  const from = v.line.first, to = v.line.last + v.line.step
  return html`
<main class="main" id="main" tabindex="-1"><div class="head"><h1>Overview</h1><p>${f.span(from, Math.min(to, Math.max(v.mark, v.line.last + 1)), v.line.step)}${v.previous && `, compared with the ${v.r.label.replace('Last ', '')} before`}</p><span class="sp"></span><${CurrencyPicker} /></div>
<div class="grid"><${Tiles} v=${v} /></div>
<div class="grid"><${Revenue} v=${v} /><${Funnel} v=${v} /></div>
<div class="grid"><${Orders} v=${v} /><div class="c4 col gap"><${Latest} list=${newest.current} /><${Categories} v=${v} /></div></div></main>`
}

function CurrencyPicker() {
  const all = [...currencies().keys()]
  if (all.length < 2) return null
  return html`<label class="btn s pick"><span class="muted">Money in</span><select value=${currency.value} onChange=${e => choose({ currency: e.target.value })} aria-label="Currency of all amounts">${all.map(c => html`<option value=${c}>${c}</option>`)}</select><${Icon} name="down" size="12" /></label>`
}

function Tiles({ v }) {
  const { line } = v, per = m.STEP_WORD[v.r.window], span = v.r.label.replace('Last', 'last')
  const list = s => m.thin(s.now.slice(0, Math.max(2, line.closed || s.now.length)))
  const tile = (names, label, build) => {
    const need = names.map(n => feeds[n])
    const missing = need.find(x => x?.missing), failed = need.find(x => x?.error)
    if (missing) return html`<${Tile} label=${label} value=${[['–', '']]} muted note="not counted here" />`
    if (failed) return html`<${Tile} label=${label} value=${[['–', '']]} muted note="could not be read" />`
    if (need.some(x => !x?.ready)) return html`<section class="panel tile" aria-label=${label} aria-busy="true"><div class="k">${label}</div><div class="v"><div class="sk w"></div></div></section>`
    return html`<${Tile} label=${label} muted=${fresh.value.state === 'offline'} ...${build()} />`
  }
  const ratio = (part, whole) => m.share(part, whole, line)
  return [
    tile(['orders'], `Orders per ${per}`, () => {
      const now = m.recent(v.orders, line), was = m.recentBefore(v.orders, line), n = f.short(now == null ? null : now < 10 ? Math.round(now * 10) / 10 : Math.round(now))
      return { value: [[now != null && now < 10 ? f.number(now, 1) : n.text, n.unit]], delta: delta(now, was), spark: html`<${Spark} list=${list(v.orders)} />` }
    }),
    tile(['revenue'], `Revenue, ${span}`, () => {
      const p = f.money(m.sum(v.revenue.now), v.cur, v.exponent)
      return { value: [[p.text, p.unit]], delta: { v: m.change(v.revenue, line), text: relative(m.change(v.revenue, line)) }, note: v.cur ? '' : 'no currency yet', spark: html`<${Spark} list=${list(v.revenue)} />` }
    }),
    tile(['captured', 'failed'], 'Payment success', () => {
      const s = ratio(v.captured, m.plus(v.captured, v.failed)), d = s.now != null && s.before != null ? s.now - s.before : null
      return { value: [[f.percent(s.now), s.now == null ? '' : '%']], delta: { v: d, text: points(d), good: 1 }, note: s.now == null ? 'no payments yet' : '', spark: html`<${Spark} list=${m.thin(s.list.slice(0, Math.max(2, line.closed)))} />` }
    }),
    tile(['shipAll'], 'Time to ship, p50', () => {
      const now = one(feeds.shipAll.rows)?.value ?? null, was = one(feeds.shipAllBefore?.rows)?.value ?? null, d = now != null && was != null ? now - was : null
      return { value: f.duration(now), delta: { v: d == null ? null : d / (was || 1), text: d == null ? '' : minutes(d), good: -1 }, note: now == null ? 'nothing shipped yet' : '', spark: html`<${Spark} list=${m.thin(v.ship.now.slice(0, Math.max(2, line.closed)).map(x => x || null))} />` }
    }),
    open.value ? html`<a class="panel tile" href="/fraud"><div class="k">Open alerts</div><div class="v">${f.number(open.value.total)}</div><div class="d"><span class=${'delta' + (open.value.critical ? ' bad' : '')}>${open.value.critical ? html`<${Icon} name="warn" />${open.value.critical} <span>critical</span>` : html`<span>${open.value.total ? 'none critical' : 'nothing waits'}</span>`}</span></div></a>` : tile(['shipments'], `Shipments, ${span}`, () => {
      const n = f.short(m.sum(v.shipments.now)), c = m.change(v.shipments, line)
      return { value: [[n.text, n.unit]], delta: { v: c, text: relative(c) }, spark: html`<${Spark} list=${list(v.shipments)} />` }
    }),
    tile(['deliveries'], 'Late deliveries', () => {
      const s = ratio(v.late, v.dated), d = s.now != null && s.before != null ? s.now - s.before : null
      return { value: [[f.percent(s.now), s.now == null ? '' : '%']], delta: { v: d, text: points(d), good: -1 }, note: s.now == null ? 'none with a promise yet' : '', spark: html`<${Spark} list=${m.thin(s.list.slice(0, Math.max(2, line.closed)))} />` }
    }),
  ]
}

const delta = (now, was) => { const c = was ? (now - was) / was : null; return { v: c, text: relative(c) } }

const legend = v => html`<div class="legend">
  <span><svg viewBox="0 0 16 10" aria-hidden="true"><rect class="lg-bar" width="16" height="10" rx="2" /></svg>${v.r.label}</span>
  ${v.previous && html`<span><svg viewBox="0 0 16 10" aria-hidden="true"><path class="lg-dash" d="M0 5h16" /></svg>Period before</span>`}
  <span><svg viewBox="0 0 16 10" aria-hidden="true"><rect class="lg-open" x=".5" y=".5" width="15" height="9" rx="2" /><path class="lg-hatch" d="M2 10L9 0M7 10l7-10" /></svg>Open window</span></div>`

function Revenue({ v }) {
  const label = `Captured revenue in ${v.cur} over time: ${f.moneyText(m.sum(v.revenue.now), v.cur, v.exponent)} in all.`
  return html`<${Panel} id="p-revenue" title="Revenue" what=${`captured, ${v.cur || 'no currency yet'}, ${m.STEP_NAME[v.r.window]}`} span=${8} strip=${html`<${Strip} f=${fresh.value} />`} footer=${legend(v)}>
    <${Stateful} feeds=${[feeds.revenue]} height=${CHART} empty=${!v.revenue.any && html`<${Empty} v=${v} what="No payment was captured" height=${CHART} />`}>
      <${TimeBars} line=${v.line} values=${v.revenue.now} before=${v.previous && v.revenue.anyBefore ? v.revenue.before : null} label=${label} range=${v.r.name + v.cur} height=${chartHeight()}
        write=${x => f.moneyText(x, v.cur, v.exponent)} axis=${(x, top) => f.moneyAxis(x, v.cur, v.exponent, top)} />
    <//>
  <//>`
}

function Orders({ v }) {
  return html`<${Panel} id="p-orders" title="Orders" what=${`created, all currencies, ${m.STEP_NAME[v.r.window]}`} span=${8} strip=${html`<${Strip} f=${fresh.value} />`} footer=${legend(v)}>
    <${Stateful} feeds=${[feeds.orders]} height=${CHART} empty=${!v.orders.any && html`<${Empty} v=${v} what="No order was created" height=${CHART} />`}>
      <${TimeBars} line=${v.line} values=${v.orders.now} before=${v.previous && v.orders.anyBefore ? v.orders.before : null} label=${`Orders created over time: ${f.number(m.sum(v.orders.now))} in all.`} range=${v.r.name} height=${chartHeight()}
        write=${x => f.number(x)} axis=${x => { const n = f.short(x); return n.text + n.unit }} />
    <//>
  <//>`
}

function Empty({ v, what, height }) {
  const known = catalogue.value.overview.currencies.length > 0
  return html`<${State} icon="inbox" title=${`${what} in this range`} height=${height}>${known ? html`Ranges count back from the newest event that has been counted, ${v.mark ? f.stamp(v.mark, 0) + ' UTC' : 'unknown yet'}. Try a longer range.` : 'Waiting for the first event: send some to the topics orders, payments and shipments, or replay a file.'}<//>`
}

function Funnel({ v }) {
  const steps = m.funnel(feeds.funnel?.rows, feeds.funnelBefore?.rows)
  return html`<${Panel} id="p-funnel" title="Funnel" what=${`orders created in ${v.r.label.toLowerCase()}`} footer=${v.previous && html`<span class="legend"><span><svg viewBox="0 0 16 10" aria-hidden="true"><path class="lg-tick" d="M8 0v10" /></svg>Period before</span></span>`}>
    <${Stateful} feeds=${[feeds.funnel]} height=${CHART} empty=${steps[0].count === 0 && html`<${Empty} v=${v} what="No order was created" height=${CHART} />`}>
      <div class="fun">${steps.map((s, i) => html`
        ${i > 0 && html`<div class="cv"><${Icon} name="dn" size="12" /><b>${f.percent(s.step)} %</b> of ${steps[i - 1].label.toLowerCase()}<span class="sp"></span>${s.moved != null && Math.abs(s.moved) >= 0.0005 && (s.moved > 0 ? '+' : '−') + points(s.moved)}</div>`}
        <div><div class="st"><span>${s.label}</span><span><b>${f.number(s.count)}</b> <span class="muted sm">${f.percent(s.share, s.share === 1 ? 0 : 1)} %</span></span>
        <div class="tr"><i style=${{ width: Math.min(100, (s.share ?? 0) * 100) + '%' }}></i>${s.shareBefore != null && html`<u style=${{ left: Math.min(100, s.shareBefore * 100) + '%' }}></u>`}</div></div></div>`)}</div>
    <//>
  <//>`
}

function Categories({ v }) {
  const list = m.top(feeds.categories?.rows, feeds.categoriesBefore?.rows, 'category', v.inCurrency)
  const most = list[0]?.value ?? 1
  return html`<${Panel} id="p-categories" title="Top categories" what=${`items sold, ${v.cur}`}>
    <${Stateful} feeds=${[feeds.categories]} height=${CHART} empty=${list.length === 0 && html`<${Empty} v=${v} what="No item was sold" height=${CHART} />`}>
      <ul class="bars wide">${list.map(c => html`<li key=${c.name}><span class="ell" title=${c.name}>${c.name}</span><span class="bar" style=${{ width: Math.max(1, c.value / most * 100) + '%' }}></span><span class="val">${f.moneyText(c.value, v.cur, v.exponent)}</span>${c.change == null ? html`<span></span>` : html`<${Delta} v=${c.change} text=${relative(c.change)} muted />`}</li>`)}</ul>
    <//>
  <//>`
}

/** The newest alerts that wait for somebody. They stand still under the pointer. */
function Latest({ list }) {
  const box = useRef(null), shown = useRef([]), now = present()
  if (list?.ready && !box.current?.matches(':hover, :focus-within')) shown.current = [...list.rows.values()].sort(comparing('newest'))
  const body = list?.error ? html`<${State} icon=${list.error.status === 503 ? 'inbox' : 'warn'} title=${list.error.status === 503 ? 'No alerts here yet' : 'Alerts could not be read'}>${list.error.detail}<//>`
    : !list?.ready ? html`<div class="sk c"></div>` : shown.current.length === 0 ? html`<${State} icon="inbox" title="Nothing is open">No rule has found anything that waits for somebody.<//>`
    : html`<ul class="al">${shown.current.map(a => html`<li key=${a.id}><${Severity} of=${a.severity} /><span class="col"><a class="ell plain" href=${to('fraud', a.id)}>${a.title}</a><span class="sm muted ell">${short(entityOf(a.entity).id)}${a.typology ? ' · ' + a.typology.replaceAll('_', ' ') : ''}</span></span><span class="col r"><span class="b">${f.exact(a.at_risk)}</span><span class="sm muted">${f.ago(a.started, now)}</span></span></li>`)}</ul>`
  return html`<${Panel} id="p-alerts" title="Latest alerts" controls=${html`<a class="link sm" href="/fraud">${open.value ? `All ${f.number(open.value.total)} open` : 'Fraud'}</a>`}><div ref=${box}>${body}</div><//>`
}
