// The pieces that pages are made of: panels, tiles, deltas, states, sparklines, the freshness chip.
import { html } from './html.js'
import { Icon } from './icons.js'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { age, brief, hms, percent, stamp, zoneWord } from './format.js'
import { Table, Tools, isTabled } from './table.js'
import { entityOf, entityPath, kindWord, short } from './say.js'
import { to } from './router.js'

/**
 * The frame of everything, the same in all states. height: of the whole panel, which it then keeps. table: () => {name, head, rows}, what the
 * panel shows as a table (see table.js), which it can be switched to and saved as. of: the feeds that it is made of.
 */
export function Panel({ title, what, choice, span = 4, controls, strip, footer, children, id, height, table, of = [] }) {
  const ready = of.every(f => f?.ready && !f.error), tabled = table && ready && isTabled(id), kept = useKeptFocus()
  return html`<section class=${'panel c' + span + (height ? ' fixed' : '')} aria-labelledby=${id} style=${height ? { '--h': height + 'px' } : {}}>
  <header><h2 id=${id}>${title}</h2>${choice}${what && html`<p class="ell" title=${what}>${what}</p>`}<span class="sp"></span>${controls}${table && html`<${Tools} id=${id} title=${title} table=${table} ready=${ready} />`}</header>
  ${strip}
  <div class=${'body' + (tabled ? ' tabled' : '')} ...${kept}>${tabled ? html`<${Table} title=${title} table=${table} />` : children}</div>
  ${footer && html`<footer>${footer}</footer>`}
</section>`
}

/** A chart that had the focus and went away while its numbers were fetched again, as after a zoom by keys, gets it back when it returns. */
function useKeptFocus() {
  const ref = useRef(null), had = useRef(null)
  useLayoutEffect(() => {
    if (!had.current || had.current.isConnected) return
    const chart = ref.current.querySelector('.ch[tabindex]')
    if (document.activeElement !== document.body) had.current = null
    else chart?.focus({ preventScroll: true })
  })
  return { ref, onFocusIn: e => { if (e.target.matches('.ch')) had.current = e.target }, onFocusOut: e => queueMicrotask(() => { if (e.target.isConnected) had.current = null }) }
}

/** value: list of [text, unit]. good: which direction is better: 1 up, -1 down, 0 neither. The whole tile is a link. */
export const Tile = ({ label, value, delta, spark, muted, note, more, apart, href }) => html`
<section class="panel tile" aria-label=${label}>
  <div class="k ell"><a class="cover" href=${href}>${label}</a>${apart && html` <span class="apart" title=${apart}><${Icon} name="nofilter" size="12" /><span class="sr">${apart}</span></span>`}</div>
  <div class=${'v' + (muted ? ' muted' : '')}>${value.map(([text, unit], i) => html`${i > 0 && ' '}${text}${unit && html`<small>${unit}</small>`}`)}</div>
  <div class="d ell">${note ? html`<span class="delta muted"><span>${note}</span></span>` : html`<${Delta} ...${delta} />`}${more && html`<span class="sm muted"> · ${more}</span>`}</div>
  ${spark}
</section>`

/** v: the change; text: how it is written; good: 1 if more is better, -1 if less is, 0 if neither. */
export const Delta = ({ v, text, good = 0, muted }) => {
  if (v == null || !isFinite(v)) return html`<span class="delta muted"><span>no period before</span></span>`
  const dir = Math.abs(v) < 0.0005 ? 0 : Math.sign(v)
  const better = dir * good
  return html`<span class=${'delta' + (muted ? ' muted' : better > 0 ? ' good' : better < 0 ? ' bad' : '')}>
    <${Icon} name=${dir > 0 ? 'up' : dir < 0 ? 'dn' : 'flat'} /><span class="sr">${dir > 0 ? 'up' : dir < 0 ? 'down' : 'unchanged'} </span>${text}
    ${better !== 0 && html` <span>${better > 0 ? 'better' : 'worse'}</span>`}</span>`
}
export const relative = v => v == null ? '' : percent(Math.abs(v)) + ' %'
export const points = v => v == null ? '' : percent(Math.abs(v)) + ' pp'

/** A line of values; gaps where there is none. The last point is marked. zero: its ground is zero, as counts want it, and not the least value. */
export const Spark = ({ list, quiet, zero }) => {
  const w = 120, h = 32, known = list.filter(v => v != null)
  if (known.length < 2) return html`<div class="ch spark"></div>`
  const lo = zero ? 0 : Math.min(...known), hi = Math.max(...known), d = hi - lo || 1
  const x = i => 2 + i / (list.length - 1) * (w - 8), y = v => hi === lo ? h / 2 : h - 4 - (v - lo) / d * (h - 8)
  let path = '', pen = false, lastX = 0, lastY = 0
  list.forEach((v, i) => {
    if (v == null) { pen = false; return }
    lastX = x(i); lastY = y(v)
    path += (pen ? 'L' : 'M') + lastX.toFixed(1) + ' ' + lastY.toFixed(1)
    pen = true
  })
  return html`<div class="ch spark" aria-hidden="true"><svg viewBox=${`0 0 ${w} ${h}`} preserveAspectRatio="none">
      <path class=${quiet ? 'sp quiet' : 'sp'} d=${path} /></svg>
      <i class="dot" style=${{ left: lastX / w * 100 + '%', top: lastY / h * 100 + '%' }}></i></div>`
}

export const Skeleton = ({ height, says }) => html`<div class="col skeleton" aria-busy="true" style=${height ? { height: height + 'px' } : {}}><div class="sk a"></div>
    <div class="sk b"></div><div class="sk c"></div>${says && html`<p class="muted sm">${says}</p>`}</div>`

export const State = ({ icon, title, children, height, action }) => html`<div class="state" style=${height ? { minHeight: height + 'px' } : {}}>
    <${Icon} name=${icon} size="20" /><b class="b">${title}</b><p class="muted">${children}</p>${action && html`<div class="row">${action}</div>`}</div>`

/** The body of a panel in each of its states: error, not counted, loading, empty, or what it shows. retry: asks again; fix: a better button. */
export const Stateful = ({ feeds, height, empty, children, retry, fix }) => {
  const missing = feeds.find(f => f?.missing), failed = feeds.find(f => f?.error)
  if (missing) return html`<${State} icon="inbox" title="Not counted here" height=${height}>The metric ${missing.missing} is not in this installation's configuration.<//>`
  if (failed) return html`<${State} icon="warn" title="This panel could not be read" height=${height} action=${fix ?? (retry && html`<button class="btn s" onClick=${retry}>Try again</button>`)}>
      ${failed.error.param ? failed.error.param + ': ' : ''}${sentenceOf(failed.error.detail)}<//>`
  if (feeds.some(f => !f?.ready)) return html`<${Skeleton} height=${height} says="Waiting for the first window" />`
  return empty || children
}

/** One chip says how fresh the whole page is; icon and words, never colour alone. It opens what there is to say about it. */
export const Fresh = ({ f, onOpen }) => {
  const [kind, icon, word, more] = words(f), said = useRef('')
  const title = f.meta?.watermark ? `Counted up to ${stamp(Date.parse(f.meta.watermark), 0)} ${zoneWord()}. ${f.meta.lag_records} records behind.` : ''
  if (said.current !== word) said.current = word // told once, not with every tenth of a second
  return html`<button class=${'fresh ' + kind} title=${title} onClick=${onOpen} aria-haspopup="dialog"><${Icon} name=${icon} size="14" fill=${kind === 'live'} />${word}${more && html`<span>${more}</span>`}</button>
    <span class="sr" role="status">${said.current}</span>`
}

/** [class, icon, word, more] of a freshness. */
export function words(f) {
  const p = f.meta?.partitions
  switch (f.state) {
    case 'live': if (f.quietS != null) return ['live quiet', 'dot', 'Live', html`· quiet<span class="hide-s"> for</span> ${brief(f.quietS)}`]
      if (f.catchingUp) return ['rec', 'refresh', 'Behind', html`· ${age(f.behindS)}<span class="hide-s">, catching up</span>`]
      return ['live', 'dot', 'Live', f.behindS == null ? '· no events yet' : `· ${age(f.behindS)} behind`]
    case 'stale': return ['stale', 'clock', 'Stale', '· ' + age(f.behindS)]
    case 'recovering': return ['rec', 'refresh', 'Recovering', html`· ${p.present}/${p.expected}<span class="hide-s"> partitions</span>`]
    case 'reconnecting': return ['wait', 'plug', 'Reconnecting', f.retryInS > 0 ? `in ${f.retryInS} s` : 'now']
    case 'offline': return ['off', 'off', 'Offline', f.reason ? '· ' + f.reason : '']
    default: return ['wait', 'plug', 'Connecting', '']
  }
}

/** The strip under a panel's title when its data is not what it seems: not all of it, not of now, or not by every filter. */
export const Strip = ({ f, ignored = [] }) => {
  const p = f.meta?.partitions, away = p ? p.expected - p.present : 0, apart = ignored.length ? `Not filtered: this is not counted by ${ignored.join(' or ')}.` : ''
  if (f.state === 'recovering') return html`<div class="strip info"><${Icon} name="refresh" size="14" />
      <span class="ell">${p.present} of ${p.expected} partitions. ${['None', 'One is', 'Two are', 'Three are', 'Four are'][away] ?? away + ' are'} recovering: these are at least numbers.</span></div>`
  if (f.state === 'reconnecting' || f.state === 'offline') return html`<div class="strip warn"><${Icon} name="clock" size="14" /><span class="ell">${apart} Not connected: the last values stay.</span></div>`
  if (f.state === 'stale' && f.meta?.as_of) return html`<div class="strip warn"><${Icon} name="clock" size="14" />
      <span class="ell">${apart} As of ${hms(Date.parse(f.meta.as_of))}, ${age(f.behindS)} ago. Updates when the stream does.</span></div>`
  if (ignored.length) return html`<div class="strip info"><${Icon} name="filter" size="14" /><span class="ell">${apart}</span></div>`
  return null
}

/**
 * A list that holds still: [ref of its box, the n first]. While somebody points at it or has the focus in it, and for two seconds after the
 * last change of order, each stays in its place and only what it says changes.
 */
export function useStill(list, key, n, scope = '') {
  const box = useRef(null), kept = useRef({ at: -1e9, keys: [], scope: '' }).current, now = performance.now()
  if (kept.scope !== scope || kept.keys.length < Math.min(n, list.length) || (now - kept.at > 2000 && !box.current?.matches(':hover, :focus-within')))
    Object.assign(kept, { at: now, keys: list.slice(0, n).map(key), scope })
  const by = new Map(list.map(e => [key(e), e]))
  return [box, kept.keys.map(k => by.get(k)).filter(Boolean)]
}

export const Pill = ({ of, children }) => { const [kind, word, icon] = of ?? ['', '']; return html`<span class=${'pill ' + kind}>${icon && html`<${Icon} name=${icon} />`}${word}${children}</span>` }

/** A person by the first letter, as a round mark. */
export const Person = ({ name, mine }) => name ? html`<span class="who" title=${mine ? 'You' : name}>${[...name][0].toUpperCase()}
    <span class="sr"> ${name}</span></span>` : html`<span class="who none" title="Unassigned"><span class="sr">Unassigned</span></span>`

export const EntityLink = ({ of, full }) => { const { kind, id } = entityOf(of); return html`<a class="link" href=${to(...entityPath(of))} title=${kindWord(kind) + ' ' + id}>${full ? id : short(id)}</a>` }

/** topic/partition@offset, linked to the order whose event it is. */
export const Place = ({ p }) => { const text = `${p.topic}/${p.partition}@${p.offset}`; return p.order_id ? html`<a class="tpo" href=${`${to('orders', p.order_id)}?event=${encodeURIComponent(text)}`} title=${'Order ' + p.order_id}>${text}</a>` : html`<span class="tpo">${text}</span>` }

/** A modal dialog of the browser's own: it keeps the focus inside, gives it back, and closes by Escape. */
export function Dialog({ title, onClose, children, wide }) {
  const ref = useRef(null)
  useLayoutEffect(() => { ref.current.showModal() }, [])
  return html`<dialog class=${'panel dialog' + (wide ? ' wide' : '')} ref=${ref} aria-label=${title} onClose=${onClose} onMouseDown=${e => e.target === ref.current && ref.current.close()}>
    <header class="ln" role="none"><h2>${title}</h2><span class="sp"></span>
        <button type="button" class="btn ghost s sq" onClick=${() => ref.current.close()} aria-label="Close">
        <${Icon} name="x" size="14" /></button></header>
    <div class="body">${children}</div></dialog>`
}

/** What stands in the place of an answer that is not there: loading, not found, not readable. missing: what a 404 means here. */
export function Asked({ of, missing, height = 160, children }) {
  if (of.data) return html`${of.stale && html`<div class="strip warn" role="status">
      <${Icon} name="clock" size="14" />Could not be refreshed: ${of.error.message} The last answer stays.</div>`}${children}`
  if (!of.error) return html`<${Skeleton} height=${height} />`
  if (of.error.status === 404 && missing) return html`<${State} icon="inbox" title=${missing} height=${height}>${sentenceOf(of.error.message)}<//>`
  return html`<${State} icon="warn" title="This could not be read" height=${height}>${sentenceOf(of.error.message)} It is asked again by itself.<//>`
}
export const sentenceOf = text => { const t = (text ?? '').trim(); return t && t[0].toUpperCase() + t.slice(1) + (/[.!?]$/.test(t) ? '' : '.') }

/** A value against its limit. The limit's tick stands at the same place in every meter, so that the eye compares. */
export const Meter = ({ ratio, over, label }) => {
  const at = 40, end = Math.min(100, ratio * at)
  return html`<div class="m" role="img" aria-label=${label}>
      <i style=${{ width: Math.min(end, over ? at : 100) + '%' }}></i>${over && end > at && html`<i class="ov" style=${{ left: at + '%', width: end - at + '%' }}></i>`}<u style=${{ left: at + '%' }}></u></div>`
}

export async function copy(text) { try { await navigator.clipboard.writeText(text); return true } catch { return false } }
