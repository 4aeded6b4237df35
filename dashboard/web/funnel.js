// The funnel: from the order to the door. How many come to each stage, what they are worth, how long it takes, and which are stuck on the way.
import { useEffect, useRef } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Panel, Stateful, State, Strip, points, sentenceOf, useStill } from './parts.js'
import { TimeBars } from './chart.js'
import { PageHead, Empty, legend, chartTable, useZoom } from './time.js'
import { aged, again, currencies, currency, feeds, filters, follow, followAlerts, frames, fresh, overTime, present, range, unfollow } from './store.js'
import { comparing } from './queue.js'
import { route, set, to } from './router.js'
import { entityOf } from './say.js'
import { useMarks } from './marks.js'
import * as m from './model.js'
import * as f from './format.js'

const one = rows => rows?.values().next().value
const strip = (...names) => html`<${Strip} f=${fresh.value} ignored=${[...new Set(names.flatMap(n => feeds[n]?.ignored ?? []))]} />`
const signed = (v, text) => v != null && Math.abs(v) >= 0.0005 ? (v > 0 ? '+' : '−') + text : ''
const tick = html`<span class="legend"><span><svg viewBox="0 0 16 10" aria-hidden="true"><path class="lg-tick" d="M8 0v10" /></svg>Period before</span></span>`

/** What tells how long a stage takes, since the order was placed. */
const TIMES = { paid: 'pay', dispatched: 'shipAll', delivered: 'deliver' }
const timeTo = (stage, q = '0.5') => { const r = one(feeds[TIMES[stage]]?.rows); return r?.quantiles?.[q] ?? (q === '0.5' ? r?.value : null) }

const Track = ({ s }) => html`<div class="tr"><i style=${{ width: Math.min(100, (s.share ?? 0) * 100) + '%' }}></i>${s.shareBefore != null && html`<u style=${{ left: Math.min(100, s.shareBefore * 100) + '%' }}></u>`}</div>`

/** The funnel in brief, for the overview. */
export function FunnelPanel({ v, height }) {
  const steps = m.funnel(feeds.funnel?.rows, feeds.funnelBefore?.rows)
  return html`<${Panel} id="p-funnel" title="Funnel" what=${`orders created in ${v.r.label?.toLowerCase() ?? 'this range'}`} height=${height} strip=${strip('funnel')} footer=${html`${v.previous && tick}<span class="sp"></span><a class="link sm" href=${overTime('funnel')}>Where orders are stuck</a>`}
      of=${[feeds.funnel]} table=${() => ({ name: 'funnel', head: ['Stage', { word: 'Orders', r: true, write: x => f.number(x) }, { word: 'Of created', r: true, write: percent }, { word: 'Of the stage before', r: true, write: percent }], rows: steps.map(s => [s.label, s.count, s.share, s.step]) })}>
    <${Stateful} feeds=${[feeds.funnel]} retry=${again} empty=${steps[0].count === 0 && html`<${Empty} v=${v} what="No order was created" />`}>
      <div class="fun">${steps.map((s, i) => html`
        ${i > 0 && html`<div class="cv"><${Icon} name="dn" size="12" /><b>${f.percent(s.step)} %</b>${timeTo(s.stage) != null && html`<span title="Half of them came here faster, counted from the order">p50 ${f.durationText(timeTo(s.stage))}</span>`}<span class="sp"></span>${signed(s.moved, points(s.moved))}</div>`}
        <div><div class="st"><span>${s.label}</span><span><b>${f.number(s.count)}</b> <span class="muted sm">${f.percent(s.share, s.share === 1 ? 0 : 1)} %</span></span><${Track} s=${s} /></div></div>`)}</div>
    <//>
  <//>`
}
const percent = x => x == null ? '–' : f.percent(x) + ' %'

function wanted(r) {
  const both = m.hasPrevious(r), out = [], add = (name, metric, filter, interval) => out.push({ name, metric, filter, interval })
  const quantiles = '0.5,0.95', all = { window: 'all', ...m.bounds(r) }
  add('series', 'funnel', { window: r.window, ...m.bounds(r, 0, both), by: 'stage' })
  add('funnel', 'funnel', { ...all, by: 'stage' })
  if (both) add('funnelBefore', 'funnel', { window: 'all', ...m.bounds(r, 1), by: 'stage' }, 2000)
  add('gmv', 'gmv', { ...all, by: 'currency' })
  add('revenue', 'revenue', { ...all, by: 'currency' })
  add('pay', 'time_to_pay', { ...all, quantiles }, 1000)
  add('shipAll', 'time_to_ship', { ...all, quantiles }, 1000)
  add('deliver', 'time_to_deliver', { ...all, quantiles }, 1000)
  return out
}

export function Funnel() {
  frames.value // repaint
  const key = range.value.name + '|' + m.written(filters.value)
  useEffect(() => { follow(wanted(range.value)) }, [key])
  useEffect(() => unfollow, [])
  const zoom = useZoom(), marks = useMarks(), r = range.value, cur = currency.value, mark = Date.parse(fresh.peek().meta?.watermark ?? '') || Date.now()
  const line = m.timeline(r, mark, [feeds.series?.rows ?? new Map()]), v = { r, line, mark, cur, exponent: currencies().get(cur) ?? 2, previous: m.hasPrevious(r) }
  return html`<main class=${'main' + (aged.value ? ' aged' : '')} id="main" tabindex="-1"><${PageHead} title="Funnel" v=${v} />
    <${Stages} v=${v} />
    <div class="grid"><${Over} v=${v} zoom=${zoom} marks=${marks} /><${Between} v=${v} /></div>
    <div class="grid">${LEAKS.map(l => html`<${Leak} key=${l.rule} ...${l} />`)}</div></main>`
}

const valueOf = (name, v) => { let s = null; for (const r of feeds[name]?.rows.values() ?? []) if (r.labels.currency === v.cur) s = (s ?? 0) + Number(r.value); return s }
const countOf = (name, v) => { let s = 0; for (const r of feeds[name]?.rows.values() ?? []) if (r.labels.currency === v.cur) s += r.count; return s }

/** The stages with what they are worth. Of paid that is what was captured in the range; later stages are told by the mean order, marked ≈. */
function worth(steps, v) {
  const gmv = valueOf('gmv', v), n = countOf('gmv', v), mean = n ? gmv / n : null, share = steps[0].count ? n / steps[0].count : 0
  return steps.map(s => s.stage === 'created' ? { value: gmv } : s.stage === 'paid' ? { value: valueOf('revenue', v) } : { value: mean == null ? null : s.count * share * mean, about: true })
}

function Stages({ v }) {
  const steps = m.funnel(feeds.funnel?.rows, feeds.funnelBefore?.rows), worths = worth(steps, v), write = w => w.value == null ? '–' : (w.about ? '≈ ' : '') + f.moneyText(w.value, v.cur, v.exponent)
  const time = (s, q) => { const t = timeTo(s.stage, q); return t == null ? '–' : f.durationText(t) }
  const table = () => ({ name: 'funnel', head: ['Stage', { word: 'Orders', r: true, write: x => f.number(x) }, { word: 'Of created', r: true, write: percent }, { word: 'Of the stage before', r: true, write: percent }, { word: 'Change, pp', r: true, write: x => signed(x, points(x)) || '0' },
    { word: 'Value, ' + v.cur, r: true, write: (_, row) => write(row[9]) }, 'Value is', { word: 'Median, s', r: true, write: x => f.number(x) }, { word: 'p95, s', r: true, write: x => f.number(x) }],
  rows: steps.map((s, i) => [s.label, s.count, s.share, s.step, s.moved, f.major(worths[i].value, v.exponent), worths[i].about ? 'estimated' : 'counted', timeTo(s.stage), timeTo(s.stage, '0.95'), worths[i]]) })
  return html`<div class="grid"><${Panel} id="p-stages" title="Order to door" what=${`orders created in ${v.r.label?.toLowerCase() ?? 'this range'}`} span=${12} height=${290} strip=${strip('funnel', 'gmv', 'pay')} of=${[feeds.funnel]} table=${table}
      footer=${html`${v.previous && tick}<span class="ell">Paid is what was captured in the range. ≈ is orders × the mean order. Times are counted from the order.</span>`}>
    <${Stateful} feeds=${[feeds.funnel]} retry=${again} empty=${steps[0].count === 0 && html`<${Empty} v=${v} what="No order was created" />`}>
      <div class="scroll" tabindex="0" role="region" aria-label="Stages"><table class="tbl flush stages"><thead><tr><th scope="col">Stage</th><th scope="col" class="wide hide-s"><span class="sr">Share</span></th><th scope="col" class="r">Orders</th><th scope="col" class="r">Of created</th><th scope="col" class="r">Of the stage before</th><th scope="col" class="r">Value</th><th scope="col" class="r">Median</th><th scope="col" class="r">p95</th></tr></thead>
      <tbody>${steps.map((s, i) => html`<tr key=${s.stage}><th scope="row">${s.label}</th><td class="wide hide-s"><div class="fun"><${Track} s=${s} /></div></td><td class="r b">${f.number(s.count)}</td><td class="r">${f.percent(s.share, s.share === 1 ? 0 : 1)} %</td>
        <td class="r">${i ? html`<b class="b">${f.percent(s.step)} %</b> <span class=${'sm ' + (s.moved > 0.0005 ? 'good' : s.moved < -0.0005 ? 'bad' : 'muted')}>${signed(s.moved, points(s.moved))}</span>` : html`<span class="muted">–</span>`}</td>
        <td class="r">${write(worths[i])}</td><td class="r">${i ? time(s, '0.5') : '–'}</td><td class="r">${i ? time(s, '0.95') : '–'}</td></tr>`)}</tbody></table></div>
    <//><//></div>`
}

const stageOf = () => m.STAGES.some(([s], i) => i && s === route.value.params.get('stage')) ? route.value.params.get('stage') : 'paid'

/** Which share of the orders of each window has come to a stage by now. */
function Over({ v, zoom, marks }) {
  const stage = stageOf(), word = m.STAGES.find(([s]) => s === stage)[1], rows = feeds.series?.rows ?? new Map(), of = s => m.series(rows, v.line, m.count, r => r.labels.stage === s)
  const part = of(stage), whole = of('created'), ratio = list => list.map((x, i) => x ? part[list === whole.now ? 'now' : 'before'][i] / x : null), shares = { now: ratio(whole.now) }, before = v.previous && whole.anyBefore ? ratio(whole.before) : null
  return html`<${Panel} id="p-over" title=${word + ' by now'} what=${`share of orders, ${m.STEP_NAME[v.r.window]}`} span=${8} height=${272} strip=${strip('series')} footer=${legend(v)} of=${[feeds.series]} table=${() => chartTable('share ' + stage, v, shares, before, percent)}
      controls=${html`<div class="seg s" role="group" aria-label="Stage">${m.STAGES.slice(1).map(([s, w]) => html`<button aria-pressed=${s === stage} onClick=${() => set({ stage: s === 'paid' ? '' : s })}>${w}</button>`)}</div>`}>
    <${Stateful} feeds=${[feeds.series]} retry=${again} empty=${!whole.any && html`<${Empty} v=${v} what="No order was created" />`}>
      <${TimeBars} line=${v.line} values=${shares.now} before=${before} range=${v.r.name + stage} write=${percent} axis=${x => f.percent(x, 0) + ' %'} marks=${marks} zoom=${zoom} label=${`Share of orders ${word.toLowerCase()}, by the window in which they were created`} />
    <//><//>`
}

const WAITS = [['paid', 'Not paid', 'card'], ['dispatched', 'Paid, not dispatched', 'box'], ['delivered', 'Dispatched, not delivered', 'truck']]
/** Orders between two stages: on their way, or lost. */
function Between({ v }) {
  const steps = m.funnel(feeds.funnel?.rows, feeds.funnelBefore?.rows), worths = worth(steps, v), created = steps[0].count
  const list = WAITS.map(([stage, word, icon]) => { const i = steps.findIndex(s => s.stage === stage), n = Math.max(0, steps[i - 1].count - steps[i].count); return { word, icon, n, share: created ? n / created : null, value: worths[0].value != null && created ? worths[0].value * n / created : null } })
  return html`<${Panel} id="p-between" title="Between the stages" what="right now" height=${272} strip=${strip('funnel')}
      of=${[feeds.funnel]} table=${() => ({ name: 'between-stages', head: ['Where', { word: 'Orders', r: true, write: x => f.number(x) }, { word: 'Of created', r: true, write: percent }, { word: 'Worth about, ' + v.cur, r: true, write: (_, row) => f.moneyText(row[4], v.cur, v.exponent) }], rows: list.map(w => [w.word, w.n, w.share, f.major(w.value, v.exponent), w.value]) })}>
    <${Stateful} feeds=${[feeds.funnel]} retry=${again} empty=${created === 0 && html`<${Empty} v=${v} what="No order was created" />`}>
      <ul class="waits">${list.map(w => html`<li key=${w.word}><${Icon} name=${w.icon} /><span class="col"><span class="ell">${w.word}</span><span class="sm muted">${f.percent(w.share)} % of created</span></span><span class="col r"><b class="b">${f.number(w.n)}</b><span class="sm muted">≈ ${f.moneyText(w.value, v.cur, v.exponent)}</span></span></li>`)}</ul>
    <//><//>`
}

// Orders that a rule found stuck. The rules ship with the product; where one is not in force its list stays empty.
const LEAKS = [
  { rule: 'authorized_not_captured', title: 'Authorised, never captured', none: 'Every authorised payment was captured in time.' },
  { rule: 'paid_not_shipped', title: 'Paid, not dispatched', none: 'Every paid order was dispatched in time.' },
  { rule: 'shipped_before_paid', title: 'Dispatched before paid', none: 'No parcel left before its order was paid.' },
]
const LEAK_ROWS = 5, LEAK_LIMIT = 100

function Leak({ rule, title, none }) {
  const feed = useRef(null), now = present()
  useEffect(() => { feed.current = followAlerts({ rule, status: ['open', 'acknowledged'], sort: 'risk', limit: String(LEAK_LIMIT) }, 1000); return () => feed.current.close() }, [])
  const list = feed.current, all = list?.ready ? [...list.rows.values()].sort(comparing('risk')) : [], [box, shown] = useStill(all, a => a.id, LEAK_ROWS)
  const body = list?.error ? html`<${State} icon=${list.error.status === 503 ? 'inbox' : 'warn'} title=${list.error.status === 503 ? 'No alerts here yet' : 'Alerts could not be read'}>${sentenceOf(list.error.detail)} It is asked again by itself.<//>`
    : !list?.ready ? html`<div class="sk c"></div>` : all.length === 0 ? html`<${State} icon="check" title="Nothing is stuck here" action=${html`<a class="btn s" href=${to('rules', rule)}>Look at the rule</a>`}>${none}<//>`
    : html`<ul class="al">${shown.map(a => { const { kind, id } = entityOf(a.entity); return html`<li key=${a.id}><${Severity} of=${a.severity} /><span class="col"><a class="ell plain mono" href=${kind === 'order' ? to('orders', id) : to('fraud', a.id)}>${id}</a><a class="sm muted ell plain" href=${to('fraud', a.id)}>why</a></span><span class="col r"><span class="b" title=${f.exact(a.at_risk)}>${a.at_risk ? f.moneyText(a.at_risk.amount, a.at_risk.currency, a.at_risk.exponent) : '–'}</span><span class="sm muted">${f.ago(a.started, now)}</span></span></li>` })}</ul>`
  return html`<${Panel} id=${'p-' + rule} title=${title} what=${all.length ? `${all.length}${all.length === LEAK_LIMIT ? ' or more' : ''} open, most at risk first` : 'open'} height=${272} controls=${all.length > LEAK_ROWS && html`<a class="link sm" href=${'/fraud?rule=' + rule}>All</a>`}
    table=${all.length > 0 && (() => ({ name: rule, head: ['Order', 'Severity', { word: 'At risk', r: true, write: (_, row) => f.exact(row[5]) }, 'Currency', { word: 'Since', time: true }], rows: all.map(a => [entityOf(a.entity).id, a.severity, a.at_risk && f.major(a.at_risk.amount, a.at_risk.exponent), a.at_risk?.currency, Date.parse(a.started), a.at_risk]) }))}><div ref=${box}>${body}</div><//>`
}
