// The queue of alerts: which list, which filters, and its rows. What may move when is decided in queue.js.
import { useEffect, useRef, useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Person, State, sentenceOf } from './parts.js'
import { atRisk } from './queue.js'
import { set } from './router.js'
import { fresh, me, paused, present } from './store.js'
import * as f from './format.js'
import { SEVERITY, STATUS, entityOf, kindWord, plural, sentence, short } from './say.js'

export const TABS = {
  open: ['Open', { status: ['open', 'acknowledged'] }], mine: ['Mine', { status: ['open', 'acknowledged'] }], snoozed: ['Snoozed', { status: ['snoozed'] }],
  closed: ['Closed', { status: ['confirmed', 'false_positive', 'closed', 'withdrawn'] }],
}
export const SORTS = { priority: 'Priority', newest: 'Newest', recent: 'Latest hit', risk: 'At risk' }

export function Queue({ view, feed, tab, full, base, counts, mine, chosen, checked, toggle, check, release, list, redraw, filters, showFilters, askBulk, select }) {
  const now = present(), rows = view.ids.map(id => view.rows.get(id)), sums = atRisk(rows.filter(r => !r.gone))
  const s = counts?.facets.status ?? {}, n = { open: (s.open ?? 0) + (s.acknowledged ?? 0), mine, snoozed: s.snoozed ?? 0 }
  const p = feed?.meta?.partitions, partial = p && p.present < p.expected, total = counts && TABS[tab][1].status.reduce((t, x) => t + (s[x] ?? 0), 0)
  return html`<section class="queue" aria-label="Alert queue">
    <div class="row q-head"><h1>Fraud</h1><span class="muted sm ell" title=${sums.map(f.exact).join(' + ')}>${sums.length > 0 && `${f.exact(sums[0])} at risk${sums.length > 1 ? ` +${sums.length - 1}` : ''}`}</span>
        <span class="sp"></span>
      <label class="btn ghost s pick"><span class="sr">Sort by</span>
          <select value=${full.sort} onChange=${e => set({ sort: e.target.value === 'priority' ? '' : e.target.value })}>${Object.entries(SORTS).map(([k, w]) => html`<option value=${k}>${w}</option>`)}</select>
          <${Icon} name="down" size="12" /></label>
      <button class="btn ghost s sq" aria-label="Filter the queue" aria-expanded=${filters} onClick=${() => showFilters(!filters)}>
          <${Icon} name="filter" /></button></div>
    <div class="tabs" role="tablist" aria-label="Which alerts">${Object.entries(TABS).map(([k, [word]]) => html`<button role="tab" aria-selected=${k === tab} onClick=${() => { release(); set({ tab: k === 'open' ? '' : k, limit: '' }) }}>${word}${n[k] != null && html` <span class="n">${f.number(n[k])}</span>`}</button>`)}</div>
    <${Chips} base=${base} />
    ${filters && html`<${Filters} base=${base} facets=${counts?.facets} onClose=${() => showFilters(false)} />`}
    ${partial && html`<div class="strip info"><${Icon} name="refresh" size="14" />${p.present} of ${p.expected} partitions: some alerts are still missing.</div>`}
    ${['reconnecting', 'offline'].includes(fresh.value.state) && html`<div class="strip warn">
        <${Icon} name="clock" size="14" />Not connected: the list is as it last was.</div>`}
    <div role="status">${view.waiting > 0 && !paused.value && html`<button class="strip info wait" onClick=${release}><${Icon} name="up" size="14" />
      <span><b class="b">${plural(view.waiting, 'new alert')}</b> held while you read</span><span class="sp"></span>Show</button>`}</div>
    <div class="list" ref=${list} onPointerLeave=${redraw} onFocusOut=${redraw} onScroll=${e => e.target.scrollTop < 9 && redraw()}>
      ${rows.length > 0 && html`<div id="q-list" role="listbox" aria-label=${TABS[tab][0] + ' alerts'} onClick=${e => { const q = e.target.closest('.q'); if (!q) return; if (e.target.closest('.ck') || e.shiftKey) toggle(q.dataset.id); else select(q.dataset.id) }}>
        ${rows.map((a, i) => html`<${Row} key=${a.id} a=${a} now=${now} on=${a.id === chosen} tab=${a.id === chosen || (!view.ids.includes(chosen) && i === 0)} checked=${checked.has(a.id)} />`)}</div>`}
      ${rows.length === 0 && html`<${Nothing} feed=${feed} tab=${tab} base=${base} counts=${counts} />`}
      ${total > rows.length && rows.length >= Number(full.limit) && html`<div class="row more-rows sm muted">${rows.length} of ${f.number(total)} shown<span class="sp"></span>${rows.length < 500 && html`<button class="link" onClick=${() => set({ limit: Math.min(500, rows.length + 100) })}>Show more</button>`}</div>`}
    </div>
    ${checked.size > 0 && html`<div class="bulk" role="group" aria-label="Decide on the selected alerts"><b class="b">${checked.size} selected</b>
        <button class="link sm" onClick=${() => check(new Set())}>Clear</button><span class="sp"></span>
      <button class="btn s" onClick=${() => askBulk('acknowledge')}>Acknowledge</button>
          <button class="btn s" onClick=${() => askBulk('false_positive')}>False</button>
          <button class="btn s dan" onClick=${() => askBulk('confirm')}>Fraud</button></div>`}
    <div class="keys"><span><span class="kbd">j</span><span class="kbd">k</span>move</span><span><span class="kbd">x</span>select</span><span>
        <span class="kbd">/</span>search</span><span class="sp"></span><span><span class="kbd">?</span>all keys</span></div>
  </section>`
}

const Row = ({ a, now, on, tab, checked }) => html`<div class=${'q' + (a.status === 'open' && !a.gone ? '' : ' read') + (a.gone ? ' gone' : '') + (checked ? ' ckd' : '')} id=${'q-' + a.id} data-id=${a.id} role="option" tabindex=${tab ? 0 : -1} aria-selected=${on} aria-checked=${checked}>
  <span class="ck" aria-hidden="true"><i><${Icon} name="check" size="12" /></i></span>
  <span class="line"><${Severity} of=${a.severity} /><span class="score" title=${`Score ${a.score} of 100, case ${a.case_score}`}>
      <i style=${{ '--p': Math.max(a.score, a.case_score) + '%' }}></i><b>${Math.max(a.score, a.case_score)}</b></span><span class="sp"></span>
      <span class="amt">${f.exact(a.at_risk)}</span></span>
  <span class="line two"><span class="says"><span class="rule">${a.title}</span> <span class="sm muted about">${a.gone ? 'no longer in this list' : a.status === 'open' ? short(entityOf(a.entity).id) + (a.hits > 1 ? ` · ${a.hits} hits` : '') : STATUS[a.status][1] + (a.shadow ? ', shadow' : '')}</span></span>
      <span class="sm muted nw" title=${f.moment(Date.parse(a.started)) + ' ' + f.zoneWord()}>${f.ago(a.started, now)}</span>
      <${Person} name=${a.assignee} mine=${a.assignee === me.value} /></span></div>`

function Nothing({ feed, tab, base, counts }) {
  if (feed?.error) return html`<${State} icon="warn" title=${feed.error.status === 503 ? 'No alerts here yet' : 'The alerts could not be read'} height=${120}>${sentenceOf(feed.error.detail)} It is asked again by itself.<//>`
  if (!feed?.ready) return [1, 2, 3, 4, 5].map(() => html`<div class="q" aria-hidden="true"><span class="line"><span class="sk"></span></span>
      <span class="line two"><span class="sk"></span></span></div>`)
  if (Object.keys(base).length) return html`<div class="pad">
      <${State} icon="filter" title="No alert matches">None of these is ${tab === 'closed' ? 'decided' : TABS[tab][0].toLowerCase()}.<//>
      <button class="btn s" onClick=${() => set(Object.fromEntries(Object.keys(base).map(k => [k, ''])))}>Clear the filters</button></div>`
  const all = Object.values(counts?.facets.status ?? {}).reduce((a, b) => a + b, 0)
  return html`<div class="pad"><${State} icon="inbox" title=${tab === 'mine' ? 'Nothing is assigned to you' : tab === 'open' ? 'Nothing is open' : 'None'}>${tab === 'mine' && !me.value ? 'Decide on an alert or assign one to yourself, and say who you are.' : all ? `${plural(all, 'alert')} in other lists.` : 'No rule has found anything yet.'}<//>${tab !== 'open' ? html`<a class="btn s" href="/fraud">Show open alerts</a>` : html`<a class="btn s" href="/rules">Look at the rules</a>`}</div>`
}

const LABELS = { severity: 'Severity', rule: 'Rule', kind: 'About', q: 'Text', min_score: 'Score from', shadow: 'Shadow' }
function Chips({ base }) {
  const chips = Object.entries(base).flatMap(([k, v]) => Array.isArray(v) ? v.map(one => [k, one, v.filter(x => x !== one).join(',')]) : [[k, v, '']])
  if (!chips.length) return null
  return html`<div class="chips q-chips">${chips.map(([k, v, rest]) => { const text = k === 'severity' ? SEVERITY[v]?.[1] ?? v : k === 'kind' ? kindWord(v) : `${LABELS[k]}: ${v}`; return html`<span class="chip on">
      <span class="ell">${text}</span><button aria-label=${'Remove filter ' + text} onClick=${() => set({ [k]: rest })}>
      <${Icon} name="x" size="12" /></button></span>` })}</div>`
}

function Filters({ base, facets, onClose }) {
  const typed = useRef(0), [text, type] = useState(base.q ?? '') // what is typed stands when the list moves meanwhile
  useEffect(() => type(base.q ?? ''), [base.q])
  const later = (k, v) => { clearTimeout(typed.current); typed.current = setTimeout(() => set({ [k]: v }), 250) }
  const has = (k, v) => base[k]?.includes(v), flip = (k, v) => set({ [k]: has(k, v) ? base[k].filter(x => x !== v).join(',') : [...(base[k] ?? []), v].join(',') })
  return html`<form class="filters" aria-label="Filters" onSubmit=${e => { e.preventDefault(); onClose() }}>
    <label class="field"><${Icon} name="search" size="14" />
        <input id="q-search" type="search" placeholder="Title, entity, order or alert id" aria-label="Search alerts" value=${text} onInput=${e => { type(e.target.value); later('q', e.target.value) }} /></label>
    <div class="chips" role="group" aria-label="Severity">${Object.entries(SEVERITY).map(([k, [, word]]) => html`<button type="button" class=${'chip pick-c' + (has('severity', k) ? ' on' : '')} aria-pressed=${!!has('severity', k)} onClick=${() => flip('severity', k)}>${word}${facets && html` <span class="muted">${facets.severity[k] ?? 0}</span>`}</button>`)}</div>
    <div class="row"><label class="btn s pick"><span class="muted">Rule</span>
        <select value=${base.rule?.[0] ?? ''} onChange=${e => set({ rule: e.target.value })}>
        <option value="">any</option>${Object.entries(facets?.rule ?? {}).sort((a, b) => b[1] - a[1]).map(([r, n]) => html`<option value=${r}>${sentence(r)} (${n})</option>`)}</select>
        <${Icon} name="down" size="12" /></label></div>
    <div class="row"><label class="btn s pick"><span class="muted">About</span>
        <select value=${base.kind?.[0] ?? ''} onChange=${e => set({ kind: e.target.value })}>
        <option value="">anything</option>${['customer', 'order', 'card', 'ip', 'device', 'email', 'address', 'seller', 'product'].map(k => html`<option value=${k}>${kindWord(k)}</option>`)}</select>
        <${Icon} name="down" size="12" /></label>
      <label class="btn s pick"><span class="muted">Score from</span>
          <select value=${base.min_score ?? ''} onChange=${e => set({ min_score: e.target.value })}>${['', '25', '50', '75', '90'].map(v => html`<option value=${v}>${v || '0'}</option>`)}</select>
          <${Icon} name="down" size="12" /></label>
      <label class="btn s pick"><span class="muted">Shadow</span><select value=${base.shadow ?? ''} onChange=${e => set({ shadow: e.target.value })}>
          <option value="">no</option><option value="only">only</option><option value="include">too</option></select>
          <${Icon} name="down" size="12" /></label></div>
  </form>`
}
