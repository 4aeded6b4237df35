// One order: every event of its life in lanes, with when it happened and when it came, what it means in money, and what rules say.
import { useEffect, useRef, useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Asked, Dialog, EntityLink, Panel, Pill, State, copy } from './parts.js'
import { query, useAsk } from './api.js'
import { frames, present } from './store.js'
import { tell, useKeys } from './notice.js'
import { go, route, set, to } from './router.js'
import * as f from './format.js'
import { STATUS, eventWord, plural, sentence, short } from './say.js'

const ORDER_STATUS = { waiting: ['warn', 'Waits for its order', 'clock'], created: ['', 'Created', 'box'], paid: ['good', 'Paid', 'check'], dispatched: ['info', 'Dispatched', 'truck'], delivered: ['good', 'Delivered', 'check'], cancelled: ['bad', 'Cancelled', 'x'] }
const LANES = [['order', '--s1', 'box'], ['payment', '--s3', 'card'], ['shipment', '--s4', 'truck'], ['alert', '--s2', 'shield']]
const LATE_MS = 60e3, REPLAYED_MS = 86400e3 // if no event came sooner, the stream is an old one that is played again: that none was late or all were says nothing
const SEEN = 'weir-orders-seen'

const seen = () => { try { return JSON.parse(localStorage.getItem(SEEN) ?? '[]') } catch { return [] } }
function remember(id) { try { localStorage.setItem(SEEN, JSON.stringify([id, ...seen().filter(x => x !== id)].slice(0, 8))) } catch { /* private windows keep nothing */ } }

/** Orders and customers are found by their id. */
export function Orders() {
  const field = useRef(null), [kind, choose] = useState('orders'), recent = seen()
  useKeys({ '/': () => field.current.focus() })
  return html`<main class="main" id="main" tabindex="-1"><div class="head"><h1>Orders</h1><p>one order or one customer, with everything that happened</p></div>
  <div class="grid"><${Panel} id="p-find" title="Find" span=${6}>
      <form class="col form" onSubmit=${e => { e.preventDefault(); const id = field.current.value.trim(); if (id) go(to(kind, id)) }}>
    <div class="seg" role="group" aria-label="What to find">
        <button type="button" aria-pressed=${kind === 'orders'} onClick=${() => choose('orders')}>Order</button>
        <button type="button" aria-pressed=${kind === 'customers'} onClick=${() => choose('customers')}>Customer</button></div>
    <div class="row"><label class="field grow"><${Icon} name="search" size="14" />
        <input ref=${field} aria-label=${kind === 'orders' ? 'Order id' : 'Customer id'} placeholder=${kind === 'orders' ? 'Order id' : 'Customer id'} autocomplete="off" spellcheck="false" /></label>
        <button class="btn pri">Open</button></div></form><//>
  <${Panel} id="p-seen" title="Looked at here" span=${6}>${recent.length ? html`<ul class="plain">${recent.map(id => html`<li>
      <a class="link mono" href=${to('orders', id)}>${id}</a></li>`)}</ul>` : html`<${State} icon="inbox" title="None yet">Orders that you open in this browser are listed here. Alerts link to their orders too.<//>`}<//></div></main>`
}

export function Order() {
  frames.value
  const { path, params } = route.value, id = path[1], by = params.get('by') === 'arrival' ? 'arrival' : 'event', at = params.get('event') ?? ''
  const order = useAsk('/v1/orders/' + encodeURIComponent(id), { every: 5000 }), o = order.data
  const alerts = useAsk('/v1/alerts?' + query({ q: id, shadow: 'include', limit: 50 }), { every: 5000 })
  const found = (alerts.data?.alerts ?? [])
  const [raw, showRaw] = useState(null)
  useEffect(() => { if (o) remember(id) }, [o?.order_id])
  return html`<main class="main" id="main" tabindex="-1">
    <div class="head"><h1 class="ell" title=${id}>${id}</h1>${o && html`<${Pill} of=${ORDER_STATUS[o.status]} />`}${o?.state.cancelled_at && o.status !== 'cancelled' && html`<${Pill} of=${ORDER_STATUS.cancelled} />`}<span class="sp"></span>
      <button class="btn s hide-s" onClick=${async () => tell(await copy(location.href) ? 'Link copied' : 'The browser did not allow copying')}>
          <${Icon} name="link" size="12" />Copy link</button><button class="btn s" onClick=${() => showRaw(o)} disabled=${!o}>
          <${Icon} name="code" size="12" />Raw JSON</button></div>
    <${Asked} of=${order} missing="No such order" height=${400}>${o && html`
      <${Facts} o=${o} />
      <div class="grid"><${Timeline} o=${o} alerts=${found} by=${by} at=${at} onRaw=${showRaw} />
        <div class="c4 col gap"><${Findings} o=${o} of=${alerts} /><${Money} o=${o} /><${Items} o=${o} /><${Where} o=${o} /></div></div>`}<//>
    ${raw && html`<${Dialog} title=${raw.topic ? `${eventWord(raw.type)} · ${raw.topic}/${raw.partition}@${raw.offset}` : 'Order ' + id} wide onClose=${() => showRaw(null)}>
        <div class="row raw-head"><span class="sm muted">as weir keeps it, and the query API tells it</span><span class="sp"></span>
        <button class="btn s" onClick=${async () => tell(await copy(JSON.stringify(raw, null, 2)) ? 'Copied' : 'The browser did not allow copying')}>
        <${Icon} name="copy" size="12" />Copy</button></div><pre class="raw" tabindex="0">${JSON.stringify(raw, null, 2)}</pre><//>`}
  </main>`
}

const after = (a, b) => a && b ? f.durationText((Date.parse(b) - Date.parse(a)) / 1000) : null

function Facts({ o }) {
  const c = o.facts, s = o.state, items = c?.items.reduce((n, i) => n + i.quantity, 0)
  if (!c) return html`<section class="panel facts-panel">
      <p class="muted">Payments or shipments of this order came; the order itself did not yet. They are counted when it does.</p></section>`
  return html`<section class="panel facts-panel"><dl class="facts">
    <div><dt>Total</dt><dd>${f.exact(c.total)} <small>${plural(items, 'item')}</small></dd></div>
    <div><dt>Customer</dt><dd><${EntityLink} of=${'customer:' + c.customer_id} /></dd></div>
    <div><dt>Created</dt><dd>${f.moment(Date.parse(c.created_at))} <small>UTC</small></dd></div>
    <div><dt>Paid after</dt><dd>${after(c.created_at, s.paid_at) ?? html`<small>not paid</small>`}</dd></div>
    <div><dt>Dispatched after</dt><dd>${after(c.created_at, s.dispatched_at) ?? html`<small>not dispatched</small>`}</dd></div>
    <div><dt>${s.delivered_at ? 'Delivered after' : 'Promised'}</dt>
        <dd>${s.delivered_at ? after(c.created_at, s.delivered_at) : c.promised_at ? f.moment(Date.parse(c.promised_at)) : html`<small>nothing</small>`}${c.promised_at && s.delivered_at && (Date.parse(s.delivered_at) > Date.parse(c.promised_at) ? html` <small class="warn">late</small>` : html` <small>on time</small>`)}</dd></div>
  </dl></section>`
}

/** What an entry says beside its type. */
function told(e, o) {
  const card = e.card && ['card', e.card.last4 ? '…' + e.card.last4 : e.card.fingerprint && short(e.card.fingerprint, 8)].filter(Boolean).join(' ')
  return [e.amount && e.type !== 'shipment.created' && f.exact(e.amount), e.type === 'order.created' && o.facts && plural(o.facts.items.length, 'line'), e.type === 'order.created' && o.facts?.channel, card || (e.type.startsWith('payment') ? e.source : e.source && 'carrier ' + e.source),
    e.reason?.replaceAll('_', ' '), e.type.startsWith('shipment') && e.reference, e.country, e.expected_at && 'expected ' + f.moment(Date.parse(e.expected_at))].filter(Boolean).join(' · ')
}
const HOLLOW = /failed|cancelled|returned|refunded|disputed|attempted/

function Timeline({ o, alerts, by, at, onRaw }) {
  const arrival = by === 'arrival', rows = o.timeline.map(e => ({ lane: ['order', 'payment', 'shipment'].indexOf(e.type.split('.')[0]), t: Date.parse(arrival ? e.arrived_at ?? e.time : e.time), late: e.arrived_at ? Date.parse(e.arrived_at) - Date.parse(e.time) : 0, e, place: `${e.topic}/${e.partition}@${e.offset}` }))
  for (const a of alerts) rows.push({ lane: 3, t: Date.parse(a.started), a, late: 0 })
  const least = Math.min(...rows.filter(r => r.e?.arrived_at).map(r => r.late)), replayed = isFinite(least) && o.timeline.length > 1 && least > REPLAYED_MS
  for (const r of rows) r.tells = !replayed && r.late > LATE_MS
  rows.sort((x, y) => x.t - y.t || x.lane - y.lane)
  const promised = o.facts?.promised_at
  if (promised && !o.state.delivered_at && !o.state.cancelled_at) rows.push({ lane: 2, t: Date.parse(promised), todo: true, late: 0 })
  const first = [0, 1, 2, 3].map(l => rows.findIndex(r => r.lane === l)), last = [0, 1, 2, 3].map(l => rows.findLastIndex(r => r.lane === l)), late = rows.filter(r => r.tells).length
  const lane = (i, r) => LANES.map(([, c], l) => html`<i class=${'ln' + (l < 3 && first[l] < last[l] && i >= first[l] && i <= last[l] ? ' v' + (i === first[l] ? ' s' : i === last[l] ? ' e' : '') : '') + (r?.lane === l ? ' n' + (l === 3 ? ' tri' : l === 2 ? ' sq' : '') + (r.todo || r.e && (!r.e.counted || HOLLOW.test(r.e.type)) ? ' hol' : '') : '')} style=${{ '--lc': `var(${c})` }}></i>`)
  const box = useRef(null)
  useEffect(() => { if (at) box.current?.querySelector('.sel')?.scrollIntoView({ block: 'center' }) }, [at])
  let day = ''
  return html`<section class="panel c8" aria-labelledby="p-time"><header><h2 id="p-time">Timeline</h2>
      <p class="ell">${plural(o.timeline.length, 'event')}${o.state.duplicates ? `, ${plural(o.state.duplicates, 'duplicate')} ignored` : ''}${late ? `, ${late} late` : ''}${replayed ? `, replayed ${f.durationText(least / 1000)} later` : ''}</p>
      <span class="sp"></span>
    <div class="seg s" role="group" aria-label="Order by"><button aria-pressed=${!arrival} onClick=${() => set({ by: '' })}>Event time</button>
        <button aria-pressed=${arrival} onClick=${() => set({ by: 'arrival' })}>Arrival</button></div></header>
    <div class="lh"><span>${arrival ? 'Arrival' : 'Event time'}</span>${LANES.map(([word, c, icon]) => html`<span class="lane-i" style=${{ '--lc': `var(${c})` }} title=${sentence(word)}>
        <${Icon} name=${icon} size="14" /><span class="sr">${word}</span></span>`)}<span class="ev-h">Event, ${f.zoneWord()}</span></div>
    <ol class="lanes" ref=${box}>${rows.map((r, i) => {
      const d = f.weekday(r.t), head = d !== day && (day = d)
      return html`${head && html`<li class="day">
          <span>${head}</span>${LANES.map(([, c], l) => html`<i class=${'ln' + (l < 3 && i > first[l] && i <= last[l] ? ' v' : '')} style=${{ '--lc': `var(${c})` }}></i>`)}</li>`}
      <li class=${'lrow' + (r.place && r.place === at ? ' sel' : '')} key=${r.place ?? 'x' + i}><div class="tm"><b>${f.hms(r.t)}</b>
          <${Delay} r=${r} arrival=${arrival} /></div>${lane(i, r)}
        <div class="ct">${r.a ? html`<div class="row"><a class="ty ell link" href=${to('fraud', r.a.id)}>Alert: ${r.a.title}</a>
            <${Pill} of=${STATUS[r.a.status]} />${r.a.shadow && html`<${Pill} of=${['info', 'Shadow', 'eye']} />`}</div><div class="row">
            <${Severity} of=${r.a.severity} /><span class="ell">score ${r.a.score}, ${plural(r.a.hits, 'hit')}</span></div>`
        : r.todo ? html`<div class="row"><span class="ty">Delivery</span></div><div class="row">
            <span class="ell">promised ${r.t > present() ? 'in ' + f.durationText((r.t - present()) / 1000) : f.durationText((present() - r.t) / 1000) + ' ago'}</span></div>`
        : html`<div class="row"><span class="ty ell">${eventWord(r.e.type)}</span>${r.tells && html`<${Pill} of=${['warn', 'Late ' + f.durationText(r.late / 1000), 'clock']} />`}${!r.e.counted && html`<${Pill} of=${['', 'Waits for its order', 'clock']} />`}<span class="sp"></span>
            <button class="tpo link" onClick=${() => onRaw(r.e)} aria-label=${`${eventWord(r.e.type)} as JSON, ${r.place}`}>${r.place}</button></div>
            <div class="row"><span class="ell">${told(r.e, o) || '–'}</span></div>`}</div></li>` })}
      ${o.state.duplicates > 0 && html`<li class="lrow"><div class="tm">
          <span>ignored</span></div>${LANES.map(([, c]) => html`<i class="ln" style=${{ '--lc': `var(${c})` }}></i>`)}<div class="ct">
          <div class="row"><${Pill} of=${['', plural(o.state.duplicates, 'duplicate') + ' ignored', 'copy']} /></div><div class="row">
          <span>the same event ids again: they changed nothing</span></div></div></li>`}</ol>
  </section>`
}

function Delay({ r, arrival }) {
  if (!r.e) return html`<span>${r.todo ? 'promised' : 'opened'}</span>`
  if (!r.e.arrived_at) return html`<span>–</span>`
  if (arrival) return html`<span title="event time">${f.hms(Date.parse(r.e.time))}</span>`
  const s = Math.max(0, r.late) / 1000
  return html`<span class=${r.tells ? 'warn b' : ''} title="arrived after the event">+${s < 10 ? f.number(s, 1) + ' s' : f.durationText(s)}</span>`
}

function Findings({ o, of }) {
  const list = of.data?.alerts ?? [], rules = o.state.raised.map(r => r.rule).filter((r, i, all) => all.indexOf(r) === i && !list.some(a => a.rule === r))
  return html`<${Panel} id="p-found" title="Findings" what=${list.length ? plural(list.length, 'alert') : ''}>
      <${Asked} of=${of} height=${60}>${list.length + rules.length === 0 ? html`<${State} icon="check" title="Nothing found">No rule says anything about this order.<//>`
    : html`<ul class="rel">${list.map(a => html`<li key=${a.id}><a href=${to('fraud', a.id)}><${Severity} of=${a.severity} />
        <span class="ell">${a.title}</span><span class="sm muted ell">${STATUS[a.status][1]}, score ${a.score}${a.shadow ? ', shadow' : ''}</span></a></li>`)}${rules.map(r => html`<li key=${r}>
        <a href=${to('rules', r)}><${Icon} name="rule" size="14" /><span class="ell">${sentence(r)}</span>
        <span class="sm muted">holds</span></a></li>`)}</ul>`}<//><//>`
}

function Money({ o }) {
  const c = o.facts, s = o.state
  if (!c) return null
  const open = BigInt(c.total.amount) - BigInt(s.captured.amount), rest = n => ({ ...c.total, amount: String(n) })
  const row = (k, v, cls = '') => html`<tr><td class="muted">${k}</td><td class=${'r ' + cls}>${v}</td></tr>`
  return html`<section class="panel" aria-labelledby="p-money"><header><h2 id="p-money">Money</h2><span class="sp"></span>
      <span class="sm muted">${c.total.currency}</span></header><table class="tbl"><tbody>
    ${row('Total', f.exact(c.total), 'b')}${c.created_total.amount !== c.total.amount && row('At creation', f.exact(c.created_total))}${row('Captured', f.exact(s.captured))}${BigInt(s.refunded.amount) !== 0n && row('Refunded', f.exact(s.refunded), 'warn')}
    ${open > 0n ? row('Still open', f.exact(rest(open)), s.dispatched_at ? 'bad b' : '') : open < 0n ? row('Captured too much', f.exact(rest(-open)), 'bad b') : row('Paid in full', after(c.created_at, s.paid_at) ?? '–', 'good')}</tbody></table></section>`
}

function Items({ o }) {
  if (!o.facts?.items.length) return null
  return html`<section class="panel" aria-labelledby="p-items"><header><h2 id="p-items">Items</h2><span class="sp"></span>
      <span class="sm muted">price of one</span></header><table class="tbl items"><tbody>${o.facts.items.map(i => html`<tr>
      <td class="ell" title=${[i.product_id, i.category, i.seller_id].filter(Boolean).join(', ')}>${i.product_id}
      <span class="sm muted"> ${i.category}</span></td><td class="r muted">${i.quantity}</td>
      <td class="r">${f.exact(i.price)}</td></tr>`)}</tbody></table></section>`
}

/** Who and where: each of them leads to its own page. */
function Where({ o }) {
  const c = o.facts
  if (!c) return null
  const cards = [...new Set(o.timeline.map(e => e.card?.fingerprint).filter(Boolean))], of = (kind, id) => id && html`<${EntityLink} of=${kind + ':' + id} />`
  const ips = [...new Set([c.client?.ip, ...o.timeline.map(e => e.client?.ip)].filter(Boolean))], rows = [['Customer since', c.customer_created_at && f.moment(Date.parse(c.customer_created_at))], ['Billing country', c.billing_country], ['Shipping country', c.shipping_country && html`<span class=${c.billing_country && c.billing_country !== c.shipping_country ? 'warn b' : ''}>${c.shipping_country}</span>`],
    ['IP address', ips.map(ip => of('ip', ip))], ['Device', of('device', c.client?.device_id)], ['E-mail', of('email', c.email_hash)], ['Address', of('address', c.shipping_address_hash)], [cards.length > 1 ? 'Cards' : 'Card', cards.slice(0, 6).map(x => of('card', x))], ['Coupon', c.coupon], ['Region', c.region], ['Partition', o.partition]]
  return html`<${Panel} id="p-where" title="Who and where">
      <dl class="dl">${rows.filter(([, v]) => v != null && v !== '' && v?.length !== 0).map(([k, v]) => html`<dt>${k}</dt>
      <dd class="ell">${Array.isArray(v) ? v.map((x, i) => [i > 0 && ', ', x]) : v}</dd>`)}</dl><//>`
}
