// Fraud triage in three panes: the queue, why the alert fired, what it is connected to. What is open, how it is sorted and which alert is
// looked at stand in the address.
import { useEffect, useReducer, useRef, useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Asked, Dialog, State, sentenceOf } from './parts.js'
import { Head, Why, Context } from './alert.js'
import { Queue, SORTS, TABS } from './list.js'
import { query, useAsk } from './api.js'
import { arrange, without } from './queue.js'
import { decide, decideAll, may, undo } from './decide.js'
import { go, route, to } from './router.js'
import { offersUndo, tell, undoLast, useKeys, who } from './notice.js'
import { countOpen, followAlerts, frames, me } from './store.js'
import * as f from './format.js'
import { STATUS, entityOf, kindNoun, plural, short } from './say.js'

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
  useEffect(() => { if (work.focus === true || work.focus && work.focus === chosen) { work.focus = false; document.getElementById('q-' + chosen)?.focus() } })

  function select(id, push) { go((id ? to('fraud', id) : '/fraud') + location.search, !push) }
  const move = step => { if (!view.ids.length) return; work.focus = view.ids[Math.max(0, Math.min(view.ids.length - 1, at + step))] ?? view.ids[0]; select(work.focus) }
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
    if (!alert) return chosen && !offersUndo() && tell('Not decided: the alert has not loaded yet', { bad: true })
    if (busy) return
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
      if (!e.conflict) return tell('Not decided: ' + e.message, { bad: true })
      if (!TABS[tab][1].status.includes(e.conflict.status)) work.finished.set(alert.id, e.conflict.revision)
      setConflict({ id: chosen, why: e, now: e.conflict, before: alert })
      detail.reload()
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

  const pick = id => { select(id, !wide.matches); if (!wide.matches) opened() }
  const selectAll = all => {
    for (const a of all) if (!view.rows.has(a.id)) view.rows.set(a.id, a)
    check(new Set(all.map(a => a.id)))
  }

  useKeys({
    j: () => move(1), k: () => move(-1), ArrowDown: e => inList(e) && move(1), ArrowUp: e => inList(e) && move(-1), Enter: opened, o: opened, x: () => chosen && toggle(chosen), 
    a: () => act('acknowledge'), f: () => act('false_positive'), c: () => act('confirm'), s: () => act('snooze'), i: () => assign(), r: () => act('reopen'), e: () => act('close'),
    u: undoLast, z: undoLast, '/': () => { showFilters(true); setTimeout(() => document.getElementById('q-search')?.focus()) },
    Escape: () => { if (sheet) showSheet(false); else if (filters) showFilters(false); else if (checked.size) check(new Set()); else if (!wide.matches && chosen) select('') },
  })
  const inList = e => list.current?.contains(e.target)

  return html`<main class="triage" id="main" tabindex="-1">
    <${Queue} ...${{ view, feed, tab, full, base, counts: counts.data, mine: mine.data?.total, chosen, checked, toggle, check, release, list, redraw }} ...${{ filters, showFilters, askBulk, select: pick }} />
    ${!chosen ? html`<div class="dhead nothing"></div>
        <section class="why" aria-label="Reasons">${feed?.ready && html`<${State} icon="inbox" title="Nothing to look at">Choose an alert, or look at another list.<//>`}</section>
        <aside class="ctx"></aside>`
    : html`${alert ? html`<${Head} a=${alert} place=${at >= 0 ? `${at + 1} of ${view.ids.length}` : ''} onBack=${() => select('')}
        onNext=${at >= 0 && at + 1 < view.ids.length ? () => select(view.ids[at + 1]) : null} onContext=${() => showSheet(true)} onAssign=${assign} />` : html`<div class="dhead">
        <button class="btn s only-s" onClick=${() => select('')}><${Icon} name="undo" size="14" />Queue</button>
        <h2 class="sr title">Alert ${chosen}</h2></div>`}
      <section class="why" aria-label="Reasons">
          <${Asked} of=${detail} missing="No such alert" height=${300}>${alert && html`<${Why} a=${alert} key=${alert.id} />${alert.snoozed_until && html`<p class="muted sm said">Snoozed until ${f.moment(Date.parse(alert.snoozed_until))} ${f.zoneWord()}</p>`}${detail.data.case.alerts.length > 0 && html`<${Others} of=${detail.data.case} />`}`}<//></section>
      ${alert ? html`<${Context} a=${alert} key=${'c' + alert.id} open=${sheet} onClose=${() => showSheet(false)} onSelect=${selectAll} />` : html`<aside class="ctx"></aside>`}
      ${alert && html`<${Decide} ...${{ alert, act, busy, reason, setReason, hours, setHours, conflict: conflict?.id === chosen ? conflict : null }} />`}`}
    ${bulk && html`<${Bulk} action=${bulk} n=${checked.size} hours=${hours} onClose=${() => askBulk('')} onApply=${actOnAll} />`}
  </main>`
}

const until = hours => new Date(Date.now() + hours * 3600e3).toISOString()
const told = (action, body) => ({
  acknowledge: 'Acknowledged', confirm: 'Confirmed as fraud', false_positive: 'Marked a false positive', close: 'Closed', reopen: 'Reopened', comment: 'Commented on',
  snooze: body.until && `Snoozed until ${f.moment(Date.parse(body.until))} ${f.zoneWord()}`, assign: body.assignee ? 'Assigned to ' + body.assignee : 'Assigned to nobody',
}[action])

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

/** What else the rules say about the entity. */
const Others = ({ of }) => html`<div class="reason sunk">
    <b class="b">Also about this ${kindNoun(entityOf(of.entity).kind)}</b> <span class="sm muted nw">case score ${of.score}</span>
  <ul class="rel">${of.alerts.slice(0, 6).map(o => html`<li key=${o.id}><a href=${to('fraud', o.id) + location.search} data-stay>
      <${Severity} of=${o.severity} /><span class="ell">${o.title}</span>
      <span class="sm muted ell">${STATUS[o.status][1]}, ${plural(o.hits, 'hit')}${o.shadow ? ', shadow' : ''}</span></a></li>`)}</ul></div>`

function Decide({ alert, act, busy, reason, setReason, hours, setHours, conflict }) {
  const done = !['open', 'acknowledged', 'snoozed'].includes(alert.status), last = alert.history.filter(c => c.author).at(-1)
  const button = (action, word, k, cls = '', more) => html`<button class=${'btn ' + cls} disabled=${!!busy || !may(action, alert.status)} aria-busy=${busy === action} onClick=${() => act(action, more)}>${word} ${k && html`<span class="kbd" aria-hidden="true">${k}</span>`}</button>`
  return html`<footer class="decide" aria-label="Decision">
    ${conflict && html`<div class="strip warn" role="alert"><${Icon} name="warn" size="14" /><span>
        <b class="b">Not taken.</b> ${conflicted(conflict)} This is the alert as it is now.</span></div>`}
    <label class="field why-field"><span class="sr">Reason</span>
        <input list="reasons" placeholder="Reason" maxlength="2000" value=${reason} onInput=${e => setReason(e.target.value)} /></label>
        <datalist id="reasons">${(alert.typology ? [alert.typology.replaceAll('_', ' '), ...REASONS.filter(r => r !== alert.typology.replaceAll('_', ' '))] : REASONS).map(r => html`<option value=${r} />`)}</datalist>
    ${done ? html`<span class="sm muted ell by">${last ? `${STATUS[alert.status][1]} by ${last.author}${last.reason ? ': ' + last.reason : ''}` : STATUS[alert.status][1]}</span>
        <span class="sp hide-s"></span>${alert.status === 'confirmed' && button('close', 'Close', 'e', 'hide-s')}${alert.status === 'false_positive' && button('confirm', 'Confirm fraud', 'c')}${alert.status === 'confirmed' && button('false_positive', 'False positive', 'f')}${button('reopen', 'Reopen', 'r', 'pri')}`
    : html`
      <span class="duo hide-s">${button('snooze', 'Snooze', 's')}<label class="btn pick"><span class="sr">Snooze for</span>
          <select value=${hours} onChange=${e => setHours(Number(e.target.value))}>${SNOOZES.map(([h, w]) => html`<option value=${h}>${w}</option>`)}</select>
          <${Icon} name="down" size="12" /></label></span>
      ${button('close', 'Close', 'e', 'hide-s wide-only')}${button('acknowledge', html`<span class="hide-s">Acknowledge</span>
          <span class="only-s">Seen</span>`, 'a')}${button('false_positive', html`<span class="hide-s">False positive</span>
          <span class="only-s">False</span>`, 'f')}${button('confirm', 'Fraud', 'c', 'dan')}`}
  </footer>`
}

function conflicted({ now, before, why }) {
  const last = now.history.filter(c => c.author).at(-1)
  if (last && now.history.filter(c => c.author).length > before.history.filter(c => c.author).length) return `${last.author} was faster: ${STATUS[now.status][1].toLowerCase()}${last.reason ? ', ' + last.reason : ''} (${f.hms(Date.parse(last.time))} ${f.zoneWord()}).`
  return sentenceOf(why.message)
}

function Bulk({ action, n, hours, onClose, onApply }) {
  const [why, setWhy] = useState(''), [time, setTime] = useState(hours)
  const words = { acknowledge: 'Acknowledge', confirm: 'Confirm as fraud', false_positive: 'Mark as false positives', snooze: 'Snooze', close: 'Close', reopen: 'Reopen', assign: 'Assign to me' }[action]
  return html`<${Dialog} title=${`${words}: ${plural(n, 'alert')}`} onClose=${onClose}>
      <form class="col form" onSubmit=${e => { e.preventDefault(); onApply(action, why.trim(), time) }}>
    <label>Reason<span class="field"><input autofocus list="reasons-all" maxlength="2000" value=${why} onInput=${e => setWhy(e.target.value)} /></span></label>
        <datalist id="reasons-all">${REASONS.map(r => html`<option value=${r} />`)}</datalist>
    ${action === 'snooze' && html`<label>For <select class="field" value=${time} onChange=${e => setTime(Number(e.target.value))}>${SNOOZES.map(([h, w]) => html`<option value=${h}>${w}</option>`)}</select></label>`}
    <p class="muted sm">Each alert is decided on as you saw it. What somebody else has decided meanwhile is not touched, and stays selected.</p>
    <div class="row"><span class="sp"></span><button type="button" class="btn" onClick=${onClose}>Cancel</button>
        <button class=${'btn ' + (action === 'confirm' ? 'dan' : 'pri')}>${words}</button></div></form><//>`
}
