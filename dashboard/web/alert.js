// One alert: its facts, why it fired, what it is connected to, and what became of it.
import { useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Asked, EntityLink, Meter, Person, Pill, Place, copy } from './parts.js'
import { Graph } from './graph.js'
import { useAsk, query } from './api.js'
import { me, present } from './store.js'
import { tell } from './notice.js'
import { to } from './router.js'
import * as f from './format.js'
import { STATUS, changeWord, entityOf, eventWord, kindWord, plural, predicate, sentence, short, value } from './say.js'

export function Head({ a, place, onBack, onNext, onContext, onAssign }) {
  const now = present()
  return html`<header class="dhead"><div class="row top-row">
    <button class="btn s sq only-s" onClick=${onBack} aria-label="Back to the queue"><${Icon} name="undo" size="14" /></button>
    <${Severity} of=${a.severity} /><h2 tabindex="-1" class="ell title" title=${a.title}>${a.title}</h2>
        <${Pill} of=${STATUS[a.status]} />${a.shadow && html`<${Pill} of=${['info', 'Shadow', 'eye']} />`}${a.held && html`<${Pill} of=${['', 'Held back', 'pause']} />`}
    <span class="sp"></span>${place && html`<span class="sm muted nw">${place}</span>`}
    ${onNext && html`<button class="btn s sq" onClick=${onNext} aria-label="Next alert"><${Icon} name="down" size="14" /></button>`}
    <button class="btn s sq only-m" onClick=${onContext} aria-label="What it is connected to"><${Icon} name="share" size="14" /></button>
    <button class="btn s sq hide-s" onClick=${async () => tell(await copy(location.href) ? 'Link copied' : 'The browser did not allow copying', {})} aria-label="Copy link">
        <${Icon} name="link" size="14" /></button></div>
  <dl class="facts">
    <div><dt>Score</dt><dd title="The alert's own, and that of its case: of all rules that say something of the entity">${a.score} <small>${a.case_score > a.score ? `case ${a.case_score}` : 'of 100'}</small></dd></div>
    <div><dt>At risk</dt><dd>${f.exact(a.at_risk)} <small>${plural(a.orders, 'order')}</small></dd></div>
    <div><dt>${kindWord(entityOf(a.entity).kind)}</dt><dd><${EntityLink} of=${a.entity} /></dd></div>
    <div><dt>Episode${a.episode === 'ended' ? ', ended' : ''}</dt><dd>${f.ago(a.started, now)} <small>${plural(a.hits, 'hit')}</small></dd></div>
    <div><dt>Assignee</dt><dd class="row"><${Person} name=${a.assignee} mine=${a.assignee === me.value} />
        <small class="ell">${a.assignee ? a.assignee === me.value ? 'You' : a.assignee : 'Nobody'}</small>
        <button class="link sm" onClick=${onAssign} title="i">${a.assignee && a.assignee === me.value ? 'Give back' : 'Take'}</button></dd></div>
  </dl></header>`
}

export function Why({ a }) {
  const [which, choose] = useState('')
  const latest = a.latest?.length ? a.latest : null, shown = which !== 'first' && latest ? latest : a.explanation
  const measured = shown.filter(tells), plain = shown.filter(p => !tells(p))
  return html`<div class="row why-head"><h2>Why this fired</h2>
      <span class="muted sm ell">${shown.length === 1 ? '' : shown.length === 2 ? 'both hold' : `all ${shown.length} hold`}</span>
      <span class="sp"></span>
    ${latest && html`<div class="seg s" role="group" aria-label="Which hit">
        <button aria-pressed=${which === 'first'} onClick=${() => choose('first')}>First hit</button>
        <button aria-pressed=${which !== 'first'} onClick=${() => choose('latest')}>Latest</button></div>`}
    <a class="link sm nw" href=${to('rules', a.rule)}>Rule v${a.version}</a></div>
  ${a.reason && html`<p class="sm muted said">${sentence(a.reason)}${a.typology && html` · ${sentence(a.typology)}`}</p>`}
  ${measured.map((p, i) => html`<${Reason} key=${shown === latest ? 'l' + i : i} p=${p} owner=${a.entity} />`)}
  ${plain.length > 0 && html`<div class="reason">${plain.map(p => { const said = predicate(p); return html`<div class="also" key=${p.text}><span>
      <b class="b">${said.what}</b>${said.limit && html` <span class="muted">· ${said.limit}${said.of ? `, the ${said.of}` : ''}</span>`}</span>
      <code class="muted">${p.text}</code></div>` })}</div>`}
  ${shown.length === 0 && html`<p class="muted">The rule tells no numbers: it holds by the order of events. The timeline has them.</p>`}`
}

/** What stands alone: a number against its limit, or something with events behind it. Plain conditions share one box. */
const tells = p => p.events?.length > 0 || p.window || predicate(p).ratio != null

const FEW = 3
function Reason({ p, owner }) {
  const [all, showAll] = useState(false)
  const said = predicate(p), events = [...(p.events ?? [])].reverse(), total = p.events_total ?? events.length
  const times = said.ratio == null ? '' : !said.over ? `${f.number(said.ratio * 100)} % of the limit` : said.ratio === 1 ? 'at the limit' : `${f.number(said.ratio, said.ratio < 10 ? 1 : 0)}× the limit`
  return html`<div class="reason"><div class="meter"><div class="t">
      <b>${said.what}</b>${said.limit && html`<span class="muted">· ${said.limit}${said.of ? `, the ${said.of}` : ''}</span>`}
      <span class="x">${times}</span></div>
    ${said.ratio != null && html`<${Meter} ratio=${said.ratio} over=${said.over} label=${`${said.what}: ${value(p.observed)} against ${value(p.threshold)}`} />`}</div>
    ${p.window && html`<div class="sm muted">${p.window.from ? `Window ${range(p.window.from, p.window.to)} ${f.zoneWord()}, sliding` : `All that is kept, up to ${f.moment(Date.parse(p.window.to))} ${f.zoneWord()}`}${p.entity && p.entity !== owner && html`, ${kindWord(entityOf(p.entity).kind)} <${EntityLink} of=${p.entity} />`}</div>`}
    ${events.slice(0, all ? events.length : FEW).map(e => html`<div class="ev" key=${e.topic + e.partition + '@' + e.offset}>
        <span class="muted" title=${f.moment(Date.parse(e.time)) + ' ' + f.zoneWord()}>${f.hms(Date.parse(e.time))}</span>
        <span class="ell">${eventWord(e.type)}</span><${Place} p=${e} /></div>`)}
    ${events.length > FEW && html`<button class="btn ghost s more" onClick=${() => showAll(!all)} aria-expanded=${all}>
        <${Icon} name=${all ? 'up' : 'down'} size="12" />${all ? 'Fewer events' : plural(events.length - FEW, 'more event')}</button>`}
    ${total > events.length && (all || events.length <= FEW) && html`<div class="sm muted">${plural(total, 'event')} in all; the newest ${events.length} are kept here.</div>`}
    <code class="muted said-as" title="As the rule says it">${p.text}</code></div>`
}

/** 11 Mar 14:19:51 – 14:29:51 */
function range(from, to) {
  const a = Date.parse(from), b = Date.parse(to)
  return f.day(a) === f.day(b) && b - a < 86400e3 ? `${f.hms(a)} – ${f.hms(b)}` : `${f.moment(a)} – ${f.moment(b)}`
}

export function Context({ a, open, onClose, onSelect }) {
  const related = useAsk(`/v1/alerts/${a.id}/related`, { version: a.hits })
  const past = useAsk('/v1/alerts?' + query({ rule: a.rule, last_from: 'now-30d', shadow: 'include', limit: 1 }))
  const entities = withCited(related.data?.entities ?? [], a), others = related.data?.alerts ?? []
  const standing = others.filter(o => o.status === 'open' || o.status === 'acknowledged')
  return html`<aside class=${'ctx' + (open ? ' open' : '')} aria-label="Context">
    <div class="row"><h2>Connected</h2><span class="sp"></span>
        <span class="sm muted">${related.data && plural(related.data.orders.length, 'order') + ' looked at'}</span>
        <button class="btn ghost s sq only-m" onClick=${onClose} aria-label="Close"><${Icon} name="x" size="14" /></button></div>
    <${Asked} of=${related} height=${224}><${Graph} centre=${a.entity} entities=${entities} alerts=${others} /><//>
    ${others.length > 0 && html`<div class="sect"><div class="row"><h2>Shares with</h2>
        <span class="sp"></span>${standing.length > 1 && html`<button class="link sm" onClick=${() => onSelect([a, ...standing])}>Select all ${standing.length + 1}</button>`}</div>
      <ul class="rel">${others.slice(0, 8).map(o => html`<li key=${o.id}><a href=${to('fraud', o.id) + location.search} data-stay>
          <${Severity} of=${o.severity} /><span class="ell">${o.title}</span>
          <span class="sm muted ell">${short(entityOf(o.entity).id)}${o.shared_orders.length ? ', ' + plural(o.shared_orders.length, 'order') : ''}${o.status !== 'open' ? ', ' + STATUS[o.status][1].toLowerCase() : ''}${o.shadow ? ', shadow' : ''}</span></a></li>`)}</ul>
      ${others.length > 8 && html`<p class="sm muted">and ${others.length - 8} more</p>`}</div>`}
    <${Timeline} a=${a} />
    <${Past} of=${past} />
  </aside>`
}

/** Orders that only the explanation names belong into the picture too. */
function withCited(entities, a) {
  const out = entities.length ? entities.slice() : [{ entity: a.entity, orders: [] }], known = new Set(out.map(e => e.entity))
  for (const p of [...a.explanation, ...(a.latest ?? [])]) for (const e of p.events ?? []) {
    const key = 'order:' + e.order_id
    if (e.order_id && !known.has(key)) { known.add(key); out.push({ entity: key, orders: [e.order_id] }) }
  }
  return out
}

const LONG = 10
function Timeline({ a }) {
  const [all, showAll] = useState(false)
  const entries = new Map()
  for (const p of [...a.explanation, ...(a.latest ?? [])]) for (const e of p.events ?? []) entries.set(`${e.topic}/${e.partition}@${e.offset}`, { t: Date.parse(e.time), what: eventWord(e.type), more: e.order_id && html`<a class="link" href=${to('orders', e.order_id)}>${short(e.order_id)}</a>` })
  const list = [...entries.values(), ...a.history.map(c => ({ t: Date.parse(c.time), bad: c.what === 'opened', strong: true, what: changeWord(c.what), more: [c.author, c.reason].filter(Boolean).join(' · ') }))].sort((x, y) => y.t - x.t)
  return html`<div class="sect"><div class="row"><h2>Timeline</h2><span class="sp"></span><span class="sm muted">UTC</span></div>
    <ul class="tl">${list.slice(0, all ? list.length : LONG).map((e, i) => html`<li key=${i} class=${e.bad ? 'bad' : ''}>
        <span>${e.strong ? html`<b class="b">${e.what}</b>` : e.what}${e.more && html`<br /><span class="muted">${e.more}</span>`}</span>
        <span class="muted" title=${f.moment(e.t) + ' ' + f.zoneWord()}>${f.hms(e.t)}</span></li>`)}</ul>
    ${list.length > LONG && html`<button class="btn ghost s more" onClick=${() => showAll(!all)} aria-expanded=${all}>${all ? 'Fewer' : `${list.length - LONG} earlier`}</button>`}</div>`
}

/** What was made of this rule's alerts. */
function Past({ of }) {
  const s = of.data?.facets.status
  if (!s) return null
  const parts = [['confirmed', '--s2', 'confirmed'], ['false_positive', '--s3', 'false positive'], ['closed', '--s5', 'closed']].map(([k, c, w]) => ({ n: s[k] ?? 0, c: `var(${c})`, w })).filter(p => p.n)
  return html`<div class="sect"><div class="row"><h2>Past decisions</h2><span class="sp"></span><span class="sm muted">this rule, 30 d</span></div>
    ${parts.length === 0 ? html`<p class="sm muted">None yet.</p>` : html`<div class="venn thin" aria-hidden="true">${parts.map(p => html`<span style=${{ flex: p.n, background: p.c }}></span>`)}</div>
    <div class="legend">${parts.map(p => html`<span><i class="key" style=${{ background: p.c }}></i><b class="b">${f.number(p.n)}</b>${p.w}</span>`)}</div>`}</div>`
}
