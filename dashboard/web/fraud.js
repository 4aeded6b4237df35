// Fraud triage in three panes: the queue, why the alert fired, what it is connected to. What is open, how it is sorted and which alert is
// looked at stand in the address.
import { useEffect, useReducer, useRef, useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Asked, Dialog, Person, State, sentenceOf } from './parts.js'
import { Head, Why, Context } from './alert.js'
import { query, useAsk } from './api.js'
import { arrange, atRisk, without } from './queue.js'
import { decide, decideAll, may, undo } from './decide.js'
import { go, route, set, to } from './router.js'
import { tell, undoLast, useKeys, who } from './notice.js'
import { countOpen, followAlerts, frames, fresh, me, paused, present } from './store.js'
import * as f from './format.js'
import { SEVERITY, STATUS, entityOf, kindWord, plural, sentence, short } from './say.js'

const TABS = {
  open: ['Open', { status: ['open', 'acknowledged'] }], mine: ['Mine', { status: ['open', 'acknowledged'] }], snoozed: ['Snoozed', { status: ['snoozed'] }],
  closed: ['Closed', { status: ['confirmed', 'false_positive', 'closed', 'withdrawn'] }],
}
const SORTS = { priority: 'Priority', newest: 'Newest', recent: 'Latest hit', risk: 'At risk' }
const SNOOZES = [[1, '1 h'], [4, '4 h'], [24, '1 d'], [168, '1 week']]
const REASONS = ['card testing', 'stolen card', 'account takeover', 'promo abuse', 'refund abuse', 'reshipping', 'known customer', 'office network', 'gift', 'test order', 'customer confirmed', 'duplicate alert']
const REORDER_MS = 2000
const wide = matchMedia('(min-width: 640px)')

const split = v => v ? v.split(',') : []
function filterOf(params) {
  const tab = TABS[params.get('tab')] ? params.get('tab') : 'open'
  const some = { severity: split(params.get('severity')), rule: split(params.get('rule')), kind: split(params.get('kind')), q: params.get('q') ?? '', min_score: params.get('min_score') ?? '', shadow: params.get('shadow') ?? '' }
  const base = Object.fromEntries(Object.entries(some).filter(([, v]) => v.length))
  return { tab, base, full: { ...base, ...TABS[tab][1], ...(tab === 'mine' && { assignee: [me.value || '?'] }), sort: SORTS[params.get('sort')] ? params.get('sort') : 'priority', limit: params.get('limit') ?? '100' } }
}

/** Follows the alerts of a filter for as long as it stays the same. */
function useAlerts(filter) {
  const key = JSON.stringify(filter), ref = useRef({ key: '', feed: null }), [, redraw] = useReducer(n => n + 1, 0)
  useEffect(() => {
    const feed = followAlerts(filter)
    ref.current = { key, feed }
    redraw()
    return () => feed.close()
  }, [key])
  return ref.current.key === key ? ref.current.feed : null
}

export function Fraud() {
  frames.value
  const [, redraw] = useReducer(n => n + 1, 0)
  const { path, params } = route.value, chosen = path[1] ?? ''
  const { tab, base, full } = filterOf(params), key = JSON.stringify(full)
  const feed = useAlerts(full), counts = useAsk('/v1/alerts?' + query({ ...base, limit: 1 }), { every: 3000 })
  const mine = useAsk(me.value ? '/v1/alerts?' + query({ ...base, ...TABS.mine[1], assignee: me.value, limit: 1 }) : null, { every: 5000 })
  const work = useRef({ view: { ids: [], rows: new Map(), waiting: 0 }, key: '', at: 0, timer: 0, finished: new Map(), focus: false }).current
  const list = useRef(null)
  const [checked, check] = useState(new Set()), [bulk, askBulk] = useState(''), [filters, showFilters] = useState(false), [sheet, showSheet] = useState(false)
  const [conflict, setConflict] = useState(null), [busy, setBusy] = useState(''), [reason, setReason] = useState(''), [hours, setHours] = useState(4)
  const view = current(work, feed, key, full.sort, list.current, checked, redraw)
  const at = view.ids.indexOf(chosen), row = view.rows.get(chosen)
  const detail = useAsk(chosen ? '/v1/alerts/' + encodeURIComponent(chosen) : null, { version: row && !row.gone ? row.revision : '' })
  const alert = detail.data?.alert

  useEffect(() => { if (!chosen && wide.matches && view.ids.length) select(view.ids[0]) })
  useEffect(() => { document.body.classList.toggle('detail', !!chosen); return () => document.body.classList.remove('detail') }, [!!chosen])
  useEffect(() => { setConflict(null); setReason(''); showSheet(false) }, [chosen])
  useEffect(() => { if (work.focus) { work.focus = false; document.getElementById('q-' + chosen)?.focus() } })

  function select(id, push) { go((id ? to('fraud', id) : '/fraud') + location.search, !push) }
  const move = step => { if (!view.ids.length) return; work.focus = true; select(view.ids[Math.max(0, Math.min(view.ids.length - 1, at + step))] ?? view.ids[0]) }
  const opened = () => { if (chosen) setTimeout(() => document.querySelector('.dhead .title')?.focus()) }
  const release = () => { check(new Set()); work.released = true; list.current?.scrollTo(0, 0); redraw() }
  const toggle = id => { const next = new Set(checked); next.delete(id) || next.add(id); check(next) }

  /** What is finished leaves the queue, with what others have finished, and the next one is looked at. */
  function finish(changes) {
    const seen = work.view, place = seen.ids.indexOf(chosen) // the view of now: the decision took its time
    const gone = [...changes.filter(c => !TABS[tab][1].status.includes(c.after.status)).map(c => c.id), ...seen.ids.filter(id => seen.rows.get(id)?.gone)]
    for (const c of changes) if (gone.includes(c.id)) work.finished.set(c.id, c.after.revision)
    const left = id => !gone.includes(id), next = seen.ids.slice(place + 1).find(left) ?? seen.ids.slice(0, Math.max(place, 0)).reverse().find(left) ?? ''
    work.view = without(seen, gone)
    if (gone.includes(chosen)) { work.focus = wide.matches && !!list.current?.contains(document.activeElement); select(wide.matches ? next : '') } else detail.reload()
    countOpen()
    counts.reload()
  }

  function offerUndo(text, changes) {
    tell(text, { undo: async () => {
      const failed = await undo(changes, me.value)
      for (const c of changes) work.finished.delete(c.id)
      tell(failed.length ? `Not all could be undone: ${failed[0].message}` : changes.length === 1 ? 'Undone' : `Undone for ${changes.length} alerts`, { bad: failed.length > 0 })
      if (changes.length === 1) select(changes[0].id)
      detail.reload()
      countOpen()
    } })
  }

  async function act(action, more = {}) {
    if (checked.size && action !== 'comment') return askBulk(action)
    if (!alert || busy) return
    if (!may(action, alert.status)) return tell(`The alert is ${STATUS[alert.status][1].toLowerCase()}${alert.status === 'withdrawn' ? '' : ': reopen it first'}`, { bad: true })
    const author = await who()
    if (!author) return
    const body = { action, author, ...(reason.trim() && { reason: reason.trim() }), ...(action === 'snooze' && { until: until(hours) }), ...more }
    setBusy(action)
    setConflict(null)
    try {
      const done = await decide(alert, body)
      if (!done.taken) return tell('Written, but not seen taken within 5 s. It will be taken or refused.', { bad: true })
      setReason('')
      const change = { id: alert.id, before: alert, after: done.alert }
      offerUndo(`${told(action, body)}: ${alert.title}, ${short(entityOf(alert.entity).id)}`, action === 'reopen' || action === 'comment' ? [] : [change])
      finish([change])
    } catch (e) {
      if (e.conflict) { if (!TABS[tab][1].status.includes(e.conflict.status)) work.finished.set(alert.id, e.conflict.revision); setConflict({ id: chosen, why: e, now: e.conflict, before: alert, action }); detail.reload() } else tell('Not decided: ' + e.message, { bad: true })
    } finally { setBusy('') }
  }

  const assign = async () => { const name = await who(); if (name) act('assign', { assignee: alert?.assignee === name ? '' : name }) }

  async function actOnAll(action, why, forHours) {
    const author = await who(), seen = [...checked].map(id => view.rows.get(id)).filter(Boolean)
    if (!author || !seen.length) return
    askBulk('')
    const body = { action, author, ...(why && { reason: why }), ...(action === 'snooze' && { until: until(forHours) }), ...(action === 'assign' && { assignee: author }) }
    try {
      const results = await decideAll(seen, body)
      const changes = results.flatMap((r, i) => r.status === 200 ? [{ id: seen[i].id, before: seen[i], after: r.alert }] : []), refused = results.filter(r => r.status !== 200)
      check(new Set(refused.map(r => r.id)))
      offerUndo(`${told(action, body)}: ${plural(changes.length, 'alert')}${refused.length ? `. ${refused.length} not: ${refused[0].detail}; still selected` : ''}`, changes)
      finish(changes)
    } catch (e) { tell('Not decided: ' + e.message, { bad: true }) }
  }

  useKeys({
    j: () => move(1), k: () => move(-1), ArrowDown: e => inList(e) && move(1), ArrowUp: e => inList(e) && move(-1), Enter: opened, o: opened, x: () => chosen && toggle(chosen), 
    a: () => act('acknowledge'), f: () => act('false_positive'), c: () => act('confirm'), s: () => act('snooze'), i: () => assign(), r: () => act('reopen'), e: () => act('close'),
    u: undoLast, z: undoLast, '/': () => { showFilters(true); setTimeout(() => document.getElementById('q-search')?.focus()) },
    Escape: () => { if (sheet) showSheet(false); else if (filters) showFilters(false); else if (checked.size) check(new Set()); else if (!wide.matches && chosen) select('') },
  })
  const inList = e => list.current?.contains(e.target)

  return html`<main class="triage" id="main" tabindex="-1">
    <${Queue} ...${{ view, feed, tab, full, base, params, counts: counts.data, mine: mine.data?.total, chosen, checked, toggle, check, release, list, redraw, filters, showFilters, askBulk, select: id => { select(id, !wide.matches); if (!wide.matches) opened() } }} />
    ${!chosen ? html`<div class="dhead nothing"></div><section class="why" aria-label="Reasons">${feed?.ready && html`<${State} icon="inbox" title="Nothing to look at">Choose an alert, or look at another list.<//>`}</section><aside class="ctx"></aside>`
    : html`${alert ? html`<${Head} a=${alert} place=${at >= 0 ? `${at + 1} of ${view.ids.length}` : ''} onBack=${() => select('')} onNext=${at >= 0 && at + 1 < view.ids.length ? () => select(view.ids[at + 1]) : null} onContext=${() => showSheet(true)} onAssign=${assign} />` : html`<div class="dhead"><button class="btn s only-s" onClick=${() => select('')}><${Icon} name="undo" size="14" />Queue</button><h2 class="sr title">Alert ${chosen}</h2></div>`}
      <section class="why" aria-label="Reasons"><${Asked} of=${detail} missing="No such alert" height=${300}>${alert && html`<${Why} a=${alert} key=${alert.id} />${alert.snoozed_until && html`<p class="muted sm said">Snoozed until ${f.moment(Date.parse(alert.snoozed_until))} UTC</p>`}${detail.data.case.alerts.length > 0 && html`<${Others} of=${detail.data.case} />`}`}<//></section>
      ${alert ? html`<${Context} a=${alert} key=${'c' + alert.id} open=${sheet} onClose=${() => showSheet(false)} onSelect=${all => { for (const a of all) if (!view.rows.has(a.id)) view.rows.set(a.id, a); check(new Set(all.map(a => a.id))) }} />` : html`<aside class="ctx"></aside>`}
      ${alert && html`<${Decide} ...${{ alert, act, busy, reason, setReason, hours, setHours, conflict: conflict?.id === chosen ? conflict : null }} />`}`}
    ${bulk && html`<${Bulk} action=${bulk} n=${checked.size} hours=${hours} onClose=${() => askBulk('')} onApply=${actOnAll} />`}
  </main>`
}

const until = hours => new Date(Date.now() + hours * 3600e3).toISOString()
const told = (action, body) => ({ acknowledge: 'Acknowledged', confirm: 'Confirmed as fraud', false_positive: 'Marked a false positive', snooze: `Snoozed until ${f.moment(Date.parse(body.until))} UTC`, close: 'Closed', reopen: 'Reopened', assign: body.assignee ? 'Assigned to ' + body.assignee : 'Assigned to nobody', comment: 'Commented on' }[action])

/** The list as it may be shown now: it stands still under the pointer, under the focus, while something is selected or scrolled. */
function current(work, feed, key, sort, list, checked, redraw) {
  if (!feed?.ready) return work.key === key ? work.view : (work.view = { ids: [], rows: new Map(), waiting: 0 })
  if (work.key !== key) work.finished.clear()
  const fresh = work.key !== key || work.released, now = performance.now()
  work.released = false
  const reads = !fresh && (checked.size > 0 || list?.matches(':hover, :focus-within') || list?.scrollTop > 8)
  const soon = !fresh && !reads && now - work.at < REORDER_MS
  const rows = new Map([...feed.rows].filter(([id, r]) => !(work.finished.get(id) >= r.revision)))
  work.view = arrange(work.view, rows, sort, reads || soon)
  work.key = key
  clearTimeout(work.timer)
  if (reads) return work.view
  if (soon) { work.timer = setTimeout(redraw, REORDER_MS); return { ...work.view, waiting: 0 } }
  work.at = now
  return work.view
}

function Queue({ view, feed, tab, full, base, params, counts, mine, chosen, checked, toggle, check, release, list, redraw, filters, showFilters, askBulk, select }) {
  const now = present(), rows = view.ids.map(id => view.rows.get(id)), sums = atRisk(rows.filter(r => !r.gone))
  const s = counts?.facets.status ?? {}, n = { open: (s.open ?? 0) + (s.acknowledged ?? 0), mine, snoozed: s.snoozed ?? 0 }
  const p = feed?.meta?.partitions, partial = p && p.present < p.expected, total = counts && TABS[tab][1].status.reduce((t, x) => t + (s[x] ?? 0), 0)
  return html`<section class="queue" aria-label="Alert queue">
    <div class="row q-head"><h1>Fraud</h1><span class="muted sm ell" title=${sums.map(f.exact).join(' + ')}>${sums.length > 0 && `${f.exact(sums[0])} at risk${sums.length > 1 ? ` +${sums.length - 1}` : ''}`}</span><span class="sp"></span>
      <label class="btn ghost s pick"><span class="sr">Sort by</span><select value=${full.sort} onChange=${e => set({ sort: e.target.value === 'priority' ? '' : e.target.value })}>${Object.entries(SORTS).map(([k, w]) => html`<option value=${k}>${w}</option>`)}</select><${Icon} name="down" size="12" /></label>
      <button class="btn ghost s sq" aria-label="Filter the queue" aria-expanded=${filters} onClick=${() => showFilters(!filters)}><${Icon} name="filter" /></button></div>
    <div class="tabs" role="tablist" aria-label="Which alerts">${Object.entries(TABS).map(([k, [word]]) => html`<button role="tab" aria-selected=${k === tab} onClick=${() => { release(); set({ tab: k === 'open' ? '' : k, limit: '' }) }}>${word}${n[k] != null && html` <span class="n">${f.number(n[k])}</span>`}</button>`)}</div>
    <${Chips} base=${base} params=${params} />
    ${filters && html`<${Filters} base=${base} facets=${counts?.facets} onClose=${() => showFilters(false)} />`}
    ${partial && html`<div class="strip info"><${Icon} name="refresh" size="14" />${p.present} of ${p.expected} partitions: some alerts are still missing.</div>`}
    ${['reconnecting', 'offline'].includes(fresh.value.state) && html`<div class="strip warn"><${Icon} name="clock" size="14" />Not connected: the list is as it last was.</div>`}
    ${view.waiting > 0 && !paused.value && html`<button class="strip info wait" onClick=${release}><${Icon} name="up" size="14" /><span><b class="b">${plural(view.waiting, 'new alert')}</b> held while you read</span><span class="sp"></span>Show</button>`}
    <div class="list" ref=${list} onPointerLeave=${redraw} onFocusOut=${redraw} onScroll=${e => e.target.scrollTop < 9 && redraw()}>
      ${rows.length > 0 && html`<div id="q-list" role="listbox" aria-label=${TABS[tab][0] + ' alerts'} onClick=${e => { const q = e.target.closest('.q'); if (!q) return; if (e.target.closest('.ck') || e.shiftKey) toggle(q.dataset.id); else select(q.dataset.id) }}>
        ${rows.map((a, i) => html`<${Row} key=${a.id} a=${a} now=${now} on=${a.id === chosen} tab=${a.id === chosen || (!view.ids.includes(chosen) && i === 0)} checked=${checked.has(a.id)} />`)}</div>`}
      ${rows.length === 0 && html`<${Nothing} feed=${feed} tab=${tab} base=${base} counts=${counts} />`}
      ${total > rows.length && rows.length >= Number(full.limit) && html`<div class="row more-rows sm muted">${rows.length} of ${f.number(total)} shown<span class="sp"></span>${rows.length < 500 && html`<button class="link" onClick=${() => set({ limit: Math.min(500, rows.length + 100) })}>Show more</button>`}</div>`}
    </div>
    ${checked.size > 0 && html`<div class="bulk" role="group" aria-label="Decide on the selected alerts"><b class="b">${checked.size} selected</b><button class="link sm" onClick=${() => check(new Set())}>Clear</button><span class="sp"></span>
      <button class="btn s" onClick=${() => askBulk('acknowledge')}>Acknowledge</button><button class="btn s" onClick=${() => askBulk('false_positive')}>False</button><button class="btn s dan" onClick=${() => askBulk('confirm')}>Fraud</button></div>`}
    <div class="keys"><span><span class="kbd">j</span><span class="kbd">k</span>move</span><span><span class="kbd">x</span>select</span><span><span class="kbd">/</span>search</span><span class="sp"></span><span><span class="kbd">?</span>all keys</span></div>
  </section>`
}

const Row = ({ a, now, on, tab, checked }) => html`<div class=${'q' + (a.status === 'open' && !a.gone ? '' : ' read') + (a.gone ? ' gone' : '') + (checked ? ' ckd' : '')} id=${'q-' + a.id} data-id=${a.id} role="option" tabindex=${tab ? 0 : -1} aria-selected=${on} aria-checked=${checked}>
  <span class="ck" aria-hidden="true"><i><${Icon} name="check" size="12" /></i></span>
  <span class="line"><${Severity} of=${a.severity} /><span class="score" title=${`Score ${a.score} of 100, case ${a.case_score}`}><i style=${{ '--p': Math.max(a.score, a.case_score) + '%' }}></i><b>${Math.max(a.score, a.case_score)}</b></span><span class="sp"></span><span class="amt">${f.exact(a.at_risk)}</span></span>
  <span class="line"><span class="rule ell">${a.title}</span><span class="sm muted ell about">${a.gone ? 'no longer in this list' : a.status === 'open' ? short(entityOf(a.entity).id) + (a.hits > 1 ? ` · ${a.hits} hits` : '') : STATUS[a.status][1] + (a.shadow ? ', shadow' : '')}</span><span class="sp"></span><span class="sm muted nw" title=${f.moment(Date.parse(a.started)) + ' UTC'}>${f.ago(a.started, now)}</span><${Person} name=${a.assignee} mine=${a.assignee === me.value} /></span></div>`

function Nothing({ feed, tab, base, counts }) {
  if (feed?.error) return html`<${State} icon="warn" title=${feed.error.status === 503 ? 'No alerts here yet' : 'The alerts could not be read'} height=${120}>${sentenceOf(feed.error.detail)} It is asked again by itself.<//>`
  if (!feed?.ready) return [1, 2, 3, 4, 5].map(() => html`<div class="q" aria-hidden="true"><span class="line"><span class="sk"></span></span><span class="line"><span class="sk"></span></span></div>`)
  if (Object.keys(base).length) return html`<div class="pad"><${State} icon="filter" title="No alert matches">None of these is ${tab === 'closed' ? 'decided' : TABS[tab][0].toLowerCase()}.<//><button class="btn s" onClick=${() => set(Object.fromEntries(Object.keys(base).map(k => [k, ''])))}>Clear the filters</button></div>`
  const all = Object.values(counts?.facets.status ?? {}).reduce((a, b) => a + b, 0)
  return html`<div class="pad"><${State} icon="inbox" title=${tab === 'mine' ? 'Nothing is assigned to you' : tab === 'open' ? 'Nothing is open' : 'None'}>${tab === 'mine' && !me.value ? 'Decide on an alert or assign one to yourself, and say who you are.' : all ? `${plural(all, 'alert')} in other lists.` : 'No rule has found anything yet.'}<//>${tab !== 'open' ? html`<a class="btn s" href="/fraud">Show open alerts</a>` : html`<a class="btn s" href="/rules">Look at the rules</a>`}</div>`
}

const LABELS = { severity: 'Severity', rule: 'Rule', kind: 'About', q: 'Text', min_score: 'Score from', shadow: 'Shadow' }
function Chips({ base }) {
  const chips = Object.entries(base).flatMap(([k, v]) => Array.isArray(v) ? v.map(one => [k, one, v.filter(x => x !== one).join(',')]) : [[k, v, '']])
  if (!chips.length) return null
  return html`<div class="chips q-chips">${chips.map(([k, v, rest]) => { const text = k === 'severity' ? SEVERITY[v]?.[1] ?? v : k === 'kind' ? kindWord(v) : `${LABELS[k]}: ${v}`; return html`<span class="chip on"><span class="ell">${text}</span><button aria-label=${'Remove filter ' + text} onClick=${() => set({ [k]: rest })}><${Icon} name="x" size="12" /></button></span>` })}</div>`
}

function Filters({ base, facets, onClose }) {
  const typed = useRef(0)
  const later = (k, v) => { clearTimeout(typed.current); typed.current = setTimeout(() => set({ [k]: v }), 250) }
  const has = (k, v) => base[k]?.includes(v), flip = (k, v) => set({ [k]: has(k, v) ? base[k].filter(x => x !== v).join(',') : [...(base[k] ?? []), v].join(',') })
  return html`<form class="filters" aria-label="Filters" onSubmit=${e => { e.preventDefault(); onClose() }}>
    <label class="field"><${Icon} name="search" size="14" /><input id="q-search" type="search" placeholder="Title, entity, order or alert id" aria-label="Search alerts" value=${base.q ?? ''} onInput=${e => later('q', e.target.value)} /></label>
    <div class="chips" role="group" aria-label="Severity">${Object.entries(SEVERITY).map(([k, [, word]]) => html`<button type="button" class=${'chip pick-c' + (has('severity', k) ? ' on' : '')} aria-pressed=${!!has('severity', k)} onClick=${() => flip('severity', k)}>${word}${facets && html` <span class="muted">${facets.severity[k] ?? 0}</span>`}</button>`)}</div>
    <div class="row"><label class="btn s pick"><span class="muted">Rule</span><select value=${base.rule?.[0] ?? ''} onChange=${e => set({ rule: e.target.value })}><option value="">any</option>${Object.entries(facets?.rule ?? {}).sort((a, b) => b[1] - a[1]).map(([r, n]) => html`<option value=${r}>${sentence(r)} (${n})</option>`)}</select><${Icon} name="down" size="12" /></label></div>
    <div class="row"><label class="btn s pick"><span class="muted">About</span><select value=${base.kind?.[0] ?? ''} onChange=${e => set({ kind: e.target.value })}><option value="">anything</option>${['customer', 'order', 'card', 'ip', 'device', 'email', 'address', 'seller', 'product'].map(k => html`<option value=${k}>${kindWord(k)}</option>`)}</select><${Icon} name="down" size="12" /></label>
      <label class="btn s pick"><span class="muted">Score from</span><select value=${base.min_score ?? ''} onChange=${e => set({ min_score: e.target.value })}>${['', '25', '50', '75', '90'].map(v => html`<option value=${v}>${v || '0'}</option>`)}</select><${Icon} name="down" size="12" /></label>
      <label class="btn s pick"><span class="muted">Shadow</span><select value=${base.shadow ?? ''} onChange=${e => set({ shadow: e.target.value })}><option value="">no</option><option value="only">only</option><option value="include">too</option></select><${Icon} name="down" size="12" /></label></div>
  </form>`
}

/** What else the rules say about the entity. */
const Others = ({ of }) => html`<div class="reason sunk"><b class="b">Also about this ${kindWord(entityOf(of.entity).kind).toLowerCase()}</b> <span class="sm muted">case score ${of.score} of 100</span>
  <ul class="rel">${of.alerts.slice(0, 6).map(o => html`<li key=${o.id}><a href=${to('fraud', o.id) + location.search} data-stay><${Severity} of=${o.severity} /><span class="ell">${o.title}</span><span class="sm muted ell">${STATUS[o.status][1]}, ${plural(o.hits, 'hit')}${o.shadow ? ', shadow' : ''}</span></a></li>`)}</ul></div>`

function Decide({ alert, act, busy, reason, setReason, hours, setHours, conflict }) {
  const done = !['open', 'acknowledged', 'snoozed'].includes(alert.status), last = alert.history.filter(c => c.author).at(-1)
  const button = (action, word, k, cls = '', more) => html`<button class=${'btn ' + cls} disabled=${!!busy || !may(action, alert.status)} aria-busy=${busy === action} onClick=${() => act(action, more)}>${word} ${k && html`<span class="kbd" aria-hidden="true">${k}</span>`}</button>`
  return html`<footer class="decide" aria-label="Decision">
    ${conflict && html`<div class="strip warn" role="alert"><${Icon} name="warn" size="14" /><span><b class="b">Not taken.</b> ${conflicted(conflict)} This is the alert as it is now.</span></div>`}
    <label class="field why-field"><span class="sr">Reason</span><input list="reasons" placeholder="Reason" maxlength="2000" value=${reason} onInput=${e => setReason(e.target.value)} /></label><datalist id="reasons">${(alert.typology ? [alert.typology.replaceAll('_', ' '), ...REASONS.filter(r => r !== alert.typology.replaceAll('_', ' '))] : REASONS).map(r => html`<option value=${r} />`)}</datalist>
    ${done ? html`<span class="sm muted ell by">${last ? `${STATUS[alert.status][1]} by ${last.author}${last.reason ? ': ' + last.reason : ''}` : STATUS[alert.status][1]}</span><span class="sp hide-s"></span>${alert.status === 'confirmed' && button('close', 'Close', 'e', 'hide-s')}${alert.status === 'false_positive' && button('confirm', 'Confirm fraud', 'c')}${alert.status === 'confirmed' && button('false_positive', 'False positive', 'f')}${button('reopen', 'Reopen', 'r', 'pri')}`
    : html`
      <span class="duo hide-s">${button('snooze', 'Snooze', 's')}<label class="btn pick"><span class="sr">Snooze for</span><select value=${hours} onChange=${e => setHours(Number(e.target.value))}>${SNOOZES.map(([h, w]) => html`<option value=${h}>${w}</option>`)}</select><${Icon} name="down" size="12" /></label></span>
      ${button('close', 'Close', 'e', 'hide-s wide-only')}${button('acknowledge', html`<span class="hide-s">Acknowledge</span><span class="only-s">Seen</span>`, 'a')}${button('false_positive', html`<span class="hide-s">False positive</span><span class="only-s">False</span>`, 'f')}${button('confirm', 'Fraud', 'c', 'dan')}`}
  </footer>`
}

function conflicted({ now, before, why }) {
  const last = now.history.filter(c => c.author).at(-1)
  if (last && now.history.filter(c => c.author).length > before.history.filter(c => c.author).length) return `${last.author} was faster: ${STATUS[now.status][1].toLowerCase()}${last.reason ? ', ' + last.reason : ''} (${f.hms(Date.parse(last.time))} UTC).`
  return sentenceOf(why.message)
}

function Bulk({ action, n, hours, onClose, onApply }) {
  const [why, setWhy] = useState(''), [time, setTime] = useState(hours)
  const words = { acknowledge: 'Acknowledge', confirm: 'Confirm as fraud', false_positive: 'Mark as false positives', snooze: 'Snooze', close: 'Close', reopen: 'Reopen', assign: 'Assign to me' }[action]
  return html`<${Dialog} title=${`${words}: ${plural(n, 'alert')}`} onClose=${onClose}><form class="col form" onSubmit=${e => { e.preventDefault(); onApply(action, why.trim(), time) }}>
    <label>Reason<span class="field"><input autofocus list="reasons-all" maxlength="2000" value=${why} onInput=${e => setWhy(e.target.value)} /></span></label><datalist id="reasons-all">${REASONS.map(r => html`<option value=${r} />`)}</datalist>
    ${action === 'snooze' && html`<label>For <select class="field" value=${time} onChange=${e => setTime(Number(e.target.value))}>${SNOOZES.map(([h, w]) => html`<option value=${h}>${w}</option>`)}</select></label>`}
    <p class="muted sm">Each alert is decided on as you saw it. What somebody else has decided meanwhile is not touched, and stays selected.</p>
    <div class="row"><span class="sp"></span><button type="button" class="btn" onClick=${onClose}>Cancel</button><button class=${'btn ' + (action === 'confirm' ? 'dan' : 'pri')}>${words}</button></div></form><//>`
}
