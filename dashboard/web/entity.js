// A customer, a card, an address or the like: what rules read of it now, its newest events, orders and alerts.
import { useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Asked, Panel, Person, Pill, Place, State } from './parts.js'
import { useAsk } from './api.js'
import { me, present } from './store.js'
import { route, to } from './router.js'
import * as f from './format.js'
import { STATUS, eventWord, kindIcon, kindNoun, kindWord, plural, reading, readingWords, sentence } from './say.js'

export function Entity() {
  const { path } = route.value, customer = path[0] === 'customers', kind = customer ? 'customer' : path[1], id = customer ? path[1] : path.slice(2).join('/')
  const answer = useAsk(!id ? null : customer ? '/v1/customers/' + encodeURIComponent(id) : `/v1/entities/${encodeURIComponent(kind)}/${encodeURIComponent(id)}`, { every: 5000 }), e = answer.data
  if (!id) return html`<main class="main" id="main" tabindex="-1"><div class="head"><h1>${customer ? 'Customers' : 'Entities'}</h1></div>
      <section class="panel"><div class="body"><${State} icon="search" title="Nothing chosen">
      <a class="link" href="/orders">Find an order or a customer</a>.<//></div></section></main>`
  const open = e?.alerts.filter(a => a.status === 'open' || a.status === 'acknowledged').length, latest = e?.events[0]?.time
  return html`<main class="main" id="main" tabindex="-1">
    <div class="head"><${Icon} name=${kindIcon(kind)} size="20" /><h1 class="ell" title=${id}>${id}</h1>
        <p>${kindWord(kind)}</p>${e?.score > 0 && html`<${Pill} of=${[e.score >= 70 ? 'bad' : 'warn', `Case score ${e.score}`, 'flag']} />`}</div>
    <${Asked} of=${answer} missing=${'Nothing is known of this ' + kindNoun(kind)} height=${400}>${e && html`
      <section class="panel facts-panel"><dl class="facts">
        <div><dt>Case score</dt><dd>${e.score} <small>of 100</small></dd></div>
        <div><dt>Alerts</dt><dd>${e.alerts.length} <small>${open ? open + ' open' : 'none open'}</small></dd></div>
        ${customer && html`<div><dt>Orders</dt><dd>${e.orders.length}${e.orders.length === 50 ? '+' : ''} <small>known here</small></dd></div><div>
            <dt>Customer since</dt><dd>${e.customer_created_at ? f.day(Date.parse(e.customer_created_at), true) : '–'}</dd></div><div><dt>Country</dt>
            <dd>${e.country || '–'}</dd></div>`}
        <div><dt>Latest event</dt><dd>${latest ? f.ago(latest, present()) : '–'} <small>${latest ? 'ago' : ''}</small></dd></div></dl></section>
      <div class="grid">
        <div class="c8 col gap">${customer && html`<${Bought} orders=${e.orders} />`}<${Alerts} list=${e.alerts} /><${Events} list=${e.events} /></div>
        <div class="c4 col gap"><${Features} e=${e} /></div></div>`}<//></main>`
}

const ORDER = { waiting: 'warn', created: '', paid: 'good', dispatched: 'info', delivered: 'good', cancelled: 'bad' }
function Bought({ orders }) {
  const back = orders.some(o => o.refunded && BigInt(o.refunded.amount))
  return html`<section class="panel" aria-labelledby="p-orders"><header><h2 id="p-orders">Orders</h2><p>newest first</p></header>
  ${orders.length === 0 ? html`<div class="body"><${State} icon="box" title="No order is known here">Orders are found by the newest events and alerts.<//></div>`
  : html`<div class="scroll"><table class="tbl"><thead><tr><th scope="col">Order</th><th scope="col">State</th><th scope="col">Created, ${f.zoneWord()}</th>
      <th scope="col" class="r">Captured</th>${back && html`<th scope="col" class="r">Refunded</th>`}<th scope="col" class="r">Total</th></tr></thead>
      <tbody>${orders.toSorted((a, b) => a.created_at < b.created_at ? 1 : -1).map(o => html`<tr key=${o.order_id}><td><a class="link mono" href=${to('orders', o.order_id)}>${o.order_id}</a></td><td>
      <${Pill} of=${[ORDER[o.status], sentence(o.status)]} /></td><td class="muted">${o.created_at ? f.moment(Date.parse(o.created_at)) : '–'}</td>
      <td class="r">${f.exact(o.captured)}</td>${back && html`<td class="r warn">${o.refunded && BigInt(o.refunded.amount) ? f.exact(o.refunded) : ''}</td>`}<td class="r b">${f.exact(o.total)}</td></tr>`)}</tbody></table></div>`}</section>`
}

const Alerts = ({ list }) => html`<section class="panel" aria-labelledby="p-alerts"><header><h2 id="p-alerts">Alerts</h2><p>newest first</p></header>
  ${list.length === 0 ? html`<div class="body"><${State} icon="check" title="No alerts">No rule has found anything about it.<//></div>`
  : html`<div class="scroll"><table class="tbl"><thead><tr><th scope="col">Severity</th><th scope="col">Alert</th><th scope="col">State</th>
      <th scope="col">Last hit, ${f.zoneWord()}</th><th scope="col" class="r">Score</th><th scope="col" class="r">At risk</th><th scope="col">
      <span class="sr">Assignee</span></th></tr></thead><tbody>${list.map(a => html`<tr key=${a.id}><td><${Severity} of=${a.severity} /></td><td class="name">
      <a class="link" href=${to('fraud', a.id)}>${a.title}</a></td><td>
      <${Pill} of=${STATUS[a.status]} />${a.shadow && html` <${Pill} of=${['info', 'Shadow']} />`}</td>
      <td class="muted">${f.moment(Date.parse(a.last))}</td><td class="r b">${a.score}</td><td class="r">${f.exact(a.at_risk)}</td><td class="r">
      <${Person} name=${a.assignee} mine=${a.assignee === me.value} /></td></tr>`)}</tbody></table></div>`}</section>`

const Events = ({ list }) => html`<section class="panel" aria-labelledby="p-events"><header><h2 id="p-events">Newest events</h2>
    <p>that rules read, at most 100</p></header>
    <div class="body">${list.length === 0 ? html`<${State} icon="inbox" title="None are kept">No rule reads events of this kind, or they are older than what is kept.<//>`
  : list.map(p => html`<div class="ev wide" key=${p.topic + p.partition + p.offset}><span class="muted">${f.moment(Date.parse(p.time))}</span>
      <span class="ell">${eventWord(p.type)}</span><${Place} p=${p} /></div>`)}</div></section>`

const shown = x => x.value == null ? '–' : x.type === 'money' ? f.exact(x.value) : x.type === 'duration' ? f.durationText(x.value) : x.type === 'time' ? f.moment(Date.parse(x.value)) : x.type === 'number' ? f.number(x.value, 2) : String(x.value)
function Features({ e }) {
  const [all, showAll] = useState(false), telling = e.features.filter(x => x.value != null && x.entries > 0), quiet = e.features.length - telling.length
  return html`<${Panel} id="p-features" title="What rules read" what=${e.at ? `at ${f.moment(Date.parse(e.at))} ${f.zoneWord()}` : ''}>${e.features.length === 0 ? html`<${State} icon="inbox" title="Nothing is read of it">No rule in force looks at its history.<//>`
  : html`<ul class="wins feats">${(all ? e.features : telling).map(x => { const r = reading(x.text), words = r ? readingWords(r) : x.text
    return html`<li key=${x.text} title=${x.text}><div class="row">
        <span>${sentence(r?.agg === 'sum' && r.value === 'total' ? 'total ' + words : words)}</span><span class="sp"></span>
        <b class="b nw">${shown(x)}</b></div>
        <div class="sm muted">${x.value == null ? 'unknown yet' : plural(x.entries, 'event')}${x.exact ? '' : `, edges within ${f.durationText(x.step_seconds)}`}</div></li>` })}</ul>
  ${quiet > 0 && html`<button class="btn ghost s more" aria-expanded=${all} onClick=${() => showAll(!all)}>
      <${Icon} name=${all ? 'up' : 'down'} size="12" />${all ? 'Fewer' : `${quiet} more without events`}</button>`}`}<//>`
}
