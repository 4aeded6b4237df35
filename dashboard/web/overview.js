// The overview: six tiles, revenue and orders over time, the funnel, what sells and when, and the newest alerts.
import { useEffect, useRef } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Panel, Delta, Stateful, State, Strip, relative, sentenceOf, useStill } from './parts.js'
import { TimeBars } from './chart.js'
import { Heat, Scale } from './heat.js'
import { Tiles } from './tiles.js'
import { PageHead, Empty, legend, chartTable, useZoom } from './time.js'
import { FunnelPanel } from './funnel.js'
import { addFilter, aged, again, currencies, currency, dropFilter, feeds, filters, follow, followAlerts, frames, fresh, hasFilter, open, present, range, state, unfollow } from './store.js'
import { comparing } from './queue.js'
import { route, set, to } from './router.js'
import { SEVERITY, entityOf, sentence, short } from './say.js'
import { useMarks } from './marks.js'
import * as m from './model.js'
import * as f from './format.js'

// What sells, by what: the metric that knows the label and is money.
const TOPS = { category: ['item_revenue', 'categories'], region: ['revenue', 'regions'], country: ['revenue', 'countries'], channel: ['gmv', 'channels'], method: ['revenue', 'methods'] }
const HOURS = 24
const hourAfter = t => Math.ceil(t / 3600e3) * 3600e3

const byItem = () => filters.value.some(([label]) => label === 'category')
const topBy = () => TOPS[route.value.params.get('top')] ? route.value.params.get('top') : 'category'

/** Everything that the page reads over a range. */
function wanted(r, top) {
  const both = m.hasPrevious(r), w = { window: r.window, ...m.bounds(r, 0, both) }, out = []
  const add = (name, metric, filter, interval, except) => out.push({ name, metric, filter, interval, except })
  add('orders', byItem() ? 'items_sold' : 'orders', w, 100)
  add('revenue', byItem() ? 'item_revenue' : 'revenue', { ...w, by: 'currency' }, 100)
  add('captured', 'payments_captured', w)
  add('failed', 'payments_failed', w)
  if (!open.peek()) add('shipments', 'shipments_dispatched', w)
  add('deliveries', 'deliveries', { ...w, by: 'on_time' })
  add('ship', 'time_to_ship', { ...w, quantiles: '0.5' }, 1000)
  for (const n of both ? [0, 1] : [0]) {
    const all = { window: 'all', ...m.bounds(r, n) }, suffix = n ? 'Before' : ''
    add('shipAll' + suffix, 'time_to_ship', { ...all, quantiles: '0.5' }, 1000)
    if (!n) { add('pay', 'time_to_pay', { ...all, quantiles: '0.5' }, 1000); add('deliver', 'time_to_deliver', { ...all, quantiles: '0.5' }, 1000) }
    add('funnel' + suffix, 'funnel', { ...all, by: 'stage' }, n ? 2000 : 250)
    add('top' + suffix, TOPS[top][0], { ...all, by: top + ',currency' }, n ? 2000 : 250, top)
  }
  add('heat', 'item_revenue', { window: '1h', by: 'category,currency', ...(r.to ? m.bounds({ from: hourAfter(r.to) - HOURS * 3600e3, to: hourAfter(r.to), ms: 0 }) : { from: m.back(HOURS * 3600e3) }) }, 1000, 'category')
  return out
}

/** Everything that the page shows, from the rows as they are now. */
function look() {
  const r = range.value, cur = currency.value, exponent = currencies().get(cur) ?? 2, rowsOf = name => feeds[name]?.rows ?? new Map()
  const meta = fresh.peek().meta ?? feeds.orders?.sub?.meta
  let mark = meta?.watermark ? Date.parse(meta.watermark) : 0
  if (!mark) for (const row of rowsOf('orders').values()) mark = Math.max(mark, Date.parse(row.start))
  const line = m.timeline(r, mark || Date.now(), [rowsOf('orders'), rowsOf('revenue')]), inCurrency = row => row.labels.currency === cur
  const s = (name, value, keep) => m.series(rowsOf(name), line, value, keep)
  return { r, cur, exponent, line, mark, previous: m.hasPrevious(r), items: byItem(), things: byItem() ? 'Items' : 'Orders', inCurrency,
    orders: s('orders', byItem() ? m.amount : m.count), revenue: s('revenue', m.amount, inCurrency),
    captured: s('captured', m.count), failed: s('failed', m.count), shipments: s('shipments', m.count), ship: s('ship', row => row.value ?? 0),
    late: s('deliveries', m.count, row => row.labels.on_time === 'false'), dated: s('deliveries', m.count, row => row.labels.on_time !== 'unknown' && row.labels.on_time !== '(none)') }
}

export function Overview() {
  frames.value // repaint
  const newest = useRef(null), top = topBy(), key = [range.value.name, m.written(filters.value), top, !open.value].join('|')
  useEffect(() => { follow(wanted(range.value, top)) }, [key])
  useEffect(() => {
    newest.current = followAlerts({ status: 'open', sort: 'newest', limit: '5' }, 500)
    return () => { unfollow(); newest.current.close() }
  }, [])
  const zoom = useZoom(), marks = useMarks(), v = look()
  return html`
<main class=${'main' + (aged.value ? ' aged' : '')} id="main" tabindex="-1"><${PageHead} title="Overview" v=${v} />
<div class="grid"><${Tiles} v=${v} /></div>
<div class="grid"><div class="c8 col gap"><${Revenue} v=${v} zoom=${zoom} marks=${marks} /><${Orders} v=${v} zoom=${zoom} marks=${marks} /></div><${FunnelPanel} v=${v} height=${416} /></div>
<div class="grid"><${Top} v=${v} by=${top} /><${Latest} list=${newest.current} /><${Hours} v=${v} /></div></main>`
}

const strip = (...names) => html`<${Strip} f=${fresh.value} ignored=${[...new Set(names.flatMap(n => feeds[n]?.ignored ?? []))]} />`

function Revenue({ v, zoom, marks }) {
  const write = x => f.moneyText(x, v.cur, v.exponent), before = v.previous && v.revenue.anyBefore ? v.revenue.before : null
  return html`<${Panel} id="p-revenue" title="Revenue" what=${`${v.items ? 'of the items' : 'captured'}, ${v.cur || 'no currency yet'}, ${m.STEP_NAME[v.r.window]}`} height=${212} strip=${strip('revenue')}
      of=${[feeds.revenue]} table=${() => chartTable('revenue', v, v.revenue, before, write, x => f.major(x, v.exponent))}>
    <${Stateful} feeds=${[feeds.revenue]} retry=${again} empty=${!v.revenue.any && html`<${Empty} v=${v} what=${v.items ? 'No item was sold' : 'No payment was captured'} />`}>
      <${TimeBars} line=${v.line} values=${v.revenue.now} before=${before} range=${v.r.name + v.cur + v.items} write=${write} axis=${(x, top) => f.moneyAxis(x, v.cur, v.exponent, top)} marks=${marks} zoom=${zoom}
        label=${`Captured revenue in ${v.cur} over time: ${write(m.sum(v.revenue.now))} in all.`} />
    <//>
  <//>`
}

function Orders({ v, zoom, marks }) {
  const write = x => f.number(x), before = v.previous && v.orders.anyBefore ? v.orders.before : null
  return html`<${Panel} id="p-orders" title=${v.things} what=${`${v.items ? 'sold' : 'created, all currencies'}, ${m.STEP_NAME[v.r.window]}`} height=${188} strip=${strip('orders')} footer=${legend(v)}
      of=${[feeds.orders]} table=${() => chartTable(v.things.toLowerCase(), v, v.orders, before, write)}>
    <${Stateful} feeds=${[feeds.orders]} retry=${again} empty=${!v.orders.any && html`<${Empty} v=${v} what="No order was created" />`}>
      <${TimeBars} line=${v.line} values=${v.orders.now} before=${before} range=${v.r.name + v.items} write=${write} axis=${x => { const n = f.short(x); return n.text + n.unit }} zoom=${zoom}
        label=${`${v.things} over time: ${f.number(m.sum(v.orders.now))} in all.`} />
    <//>
  <//>`
}

/** Who or what sells most. A row that is chosen becomes a filter of all panels. */
function Top({ v, by }) {
  const all = m.top(feeds.top?.rows, feeds.topBefore?.rows, by, v.inCurrency), [box, list] = useStill(all, c => c.name, 7, v.r.name + by + v.cur), most = all[0]?.value ?? 1
  const write = x => f.moneyText(x, v.cur, v.exponent), flip = name => (hasFilter(by, name) ? dropFilter : addFilter)(by, name)
  const choice = html`<label class="btn s pick"><span class="sr">Top what</span><select value=${by} onChange=${e => set({ top: e.target.value === 'category' ? '' : e.target.value })}>${Object.entries(TOPS).map(([k, [, word]]) => html`<option value=${k}>${word}</option>`)}</select><${Icon} name="down" size="12" /></label>`
  return html`<${Panel} id="p-top" title="Top" choice=${choice} what=${`${by === 'category' ? 'sold' : by === 'channel' ? 'ordered' : 'captured'}, ${v.cur}`} height=${272} strip=${strip('top')}
      of=${[feeds.top]} table=${() => ({ name: 'top-' + by, head: [sentence(by), { word: v.cur, r: true, write: (_, row) => write(row[1] * 10 ** v.exponent) }, { word: 'Change', r: true, write: x => (x > 0 ? '+' : '') + f.percent(x) + ' %' }], rows: all.map(c => [c.name, f.major(c.value, v.exponent), c.change]) })}>
    <${Stateful} feeds=${[feeds.top]} retry=${again} empty=${all.length === 0 && html`<${Empty} v=${v} what="Nothing was sold" />`}>
      <ul class="bars wide" ref=${box}>${list.map(c => html`<li key=${c.name}><button aria-pressed=${hasFilter(by, c.name)} onClick=${() => flip(c.name)} title=${(hasFilter(by, c.name) ? 'No longer only ' : 'Only ') + c.name}>
        <span class="ell">${c.name}</span><span class="bar" style=${{ width: Math.max(1, c.value / most * 100) + '%' }}></span><span class="val">${write(c.value)}</span>${c.change == null ? html`<span></span>` : html`<${Delta} v=${c.change} text=${relative(c.change)} muted />`}</button></li>`)}</ul>
    <//>
  <//>`
}

/** The newest alerts that wait for somebody. */
function Latest({ list }) {
  const now = present(), all = list?.ready ? [...list.rows.values()].sort(comparing('newest')) : [], [box, shown] = useStill(all, a => a.id, 5)
  const p = list?.meta?.partitions, body = list?.error ? html`<${State} icon=${list.error.status === 503 ? 'inbox' : 'warn'} title=${list.error.status === 503 ? 'No alerts here yet' : 'Alerts could not be read'}>${sentenceOf(list.error.detail)} It is asked again by itself.<//>`
    : !list?.ready ? html`<div class="sk c"></div>` : shown.length === 0 ? html`<${State} icon="inbox" title="Nothing is open" action=${html`<a class="btn s" href="/fraud?tab=closed">Show decided alerts</a>`}>No rule has found anything that waits for somebody.<//>`
    : html`<ul class="al tight">${shown.map(a => html`<li key=${a.id}><${Severity} of=${a.severity} bare /><span class="col"><a class="ell plain" href=${to('fraud', a.id)}>${a.title}</a><span class="sm muted ell"><b class="b">${SEVERITY[a.severity]?.[1]}</b> · ${short(entityOf(a.entity).id)}${a.typology ? ' · ' + a.typology.replaceAll('_', ' ') : ''}</span></span><span class="col r"><span class="b" title=${f.exact(a.at_risk)}>${a.at_risk ? f.moneyText(a.at_risk.amount, a.at_risk.currency, a.at_risk.exponent) : '–'}</span><span class="sm muted">${f.ago(a.started, now)}</span></span></li>`)}</ul>`
  return html`<${Panel} id="p-alerts" title="Latest alerts" what=${filters.value.length > 0 && 'of the whole shop'} height=${272} controls=${html`<a class="link sm" href="/fraud">${open.value ? `All ${f.number(open.value.total)} open` : 'Fraud'}</a>`}
    strip=${p && p.present < p.expected && state.value === 'live' && html`<div class="strip info"><${Icon} name="refresh" size="14" />${p.present} of ${p.expected} partitions: some alerts are still missing.</div>`}><div ref=${box}>${body}</div><//>`
}

/** Which categories sell at which hour: the 24 hours up to the end of the range. */
function Hours({ v }) {
  const last = Math.floor((v.r.to ? v.r.to - 1 : Math.max(v.line.last, v.mark)) / 3600e3) * 3600e3, first = last - (HOURS - 1) * 3600e3
  const of = m.grid(feeds.heat?.rows ?? new Map(), 'category', v.inCurrency, first, HOURS), write = x => f.moneyText(x, v.cur, v.exponent)
  const closed = Math.max(0, Math.min(HOURS, Math.floor((v.mark - first) / 3600e3))), flip = name => (hasFilter('category', name) ? dropFilter : addFilter)('category', name)
  let peak = [0, 0]
  of.cells.forEach((row, i) => row.forEach((x, j) => { if (x > of.cells[peak[0]][peak[1]]) peak = [i, j] }))
  return html`<${Panel} id="p-hours" title="Category by hour" height=${272} strip=${strip('heat')} footer=${of.max > 0 && html`<${Scale} from=${f.moneyAxis(0, v.cur, v.exponent, of.max)} to=${f.moneyAxis(of.max, v.cur, v.exponent, of.max)} /><span class="sp"></span><span class="ell">${v.cur}, items sold</span>`}
      of=${[feeds.heat]} table=${() => ({ name: 'category-by-hour', head: ['Category', { word: 'Hour', time: true }, { word: v.cur, r: true, write: (_, row) => write(row[2] * 10 ** v.exponent) }, 'Final'], rows: of.names.flatMap((n, i) => of.cells[i].map((x, j) => [n, first + j * 3600e3, f.major(x, v.exponent), j < closed ? 'yes' : 'open'])) })}>
    <${Stateful} feeds=${[feeds.heat]} retry=${again} empty=${of.max === 0 && html`<${Empty} v=${v} what="Nothing was sold" />`}>
      <${Heat} of=${of} first=${first} closed=${closed} write=${write} pick=${flip} picked=${n => hasFilter('category', n)}
        label=${of.max > 0 ? `Items sold by category and hour, 24 hours; the most in ${of.names[peak[0]]} at ${f.clock(first + peak[1] * 3600e3)}` : ''} />
    <//>
  <//>`
}
