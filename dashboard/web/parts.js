// The pieces that pages are made of: panels, tiles, deltas, states, sparklines, the freshness chip.
import { html } from './html.js'
import { Icon } from './icons.js'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { age, percent, stamp } from './format.js'
import { entityOf, entityPath, kindWord, short } from './say.js'
import { to } from './router.js'

export const Panel = ({ title, what, span = 4, controls, strip, footer, children, id }) => html`
<section class=${'panel c' + span} aria-labelledby=${id}>
  <header><h2 id=${id}>${title}</h2>${what && html`<p class="ell">${what}</p>`}<span class="sp"></span>${controls}</header>
  ${strip}
  <div class="body">${children}</div>
  ${footer && html`<footer>${footer}</footer>`}
</section>`

/** value: list of [text, unit]. good: which direction is better: 1 up, -1 down, 0 neither. */
export const Tile = ({ label, value, delta, spark, muted, note }) => html`
<section class="panel tile" aria-label=${label}>
  <div class="k">${label}</div>
  <div class=${'v' + (muted ? ' muted' : '')}>${value.map(([text, unit], i) => html`${i > 0 && ' '}${text}${unit && html`<small>${unit}</small>`}`)}</div>
  <div class="d">${note ? html`<span class="delta muted"><span>${note}</span></span>` : html`<${Delta} ...${delta} />`}</div>
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

/** A line of values; gaps where there is none. The last point is marked. */
export const Spark = ({ list, quiet }) => {
  const w = 120, h = 32, known = list.filter(v => v != null)
  if (known.length < 2) return html`<div class="ch spark"></div>`
  const lo = Math.min(...known), hi = Math.max(...known), d = hi - lo || 1
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

export const Skeleton = ({ height }) => html`<div class="col skeleton" aria-busy="true" style=${{ height: height + 'px' }}><div class="sk a"></div>
    <div class="sk b"></div><div class="sk c"></div></div>`

export const State = ({ icon, title, children, height }) => html`<div class="state" style=${height ? { minHeight: height + 'px' } : {}}>
    <${Icon} name=${icon} size="20" /><b class="b">${title}</b><p class="muted">${children}</p></div>`

/** The body of a panel in each of its states: error, not counted, loading, empty, or what it shows. */
export const Stateful = ({ feeds, height, empty, children }) => {
  const missing = feeds.find(f => f?.missing), failed = feeds.find(f => f?.error)
  if (missing) return html`<${State} icon="inbox" title="Not counted here" height=${height}>The metric ${missing.missing} is not in this installation's configuration.<//>`
  if (failed) return html`<${State} icon="warn" title="This panel could not be read" height=${height}>${failed.error.param ? failed.error.param + ': ' : ''}${failed.error.detail}<//>`
  if (feeds.some(f => !f?.ready)) return html`<${Skeleton} height=${height} />`
  return empty || children
}

/** One chip says how fresh the whole page is; icon and words, never colour alone. */
export const Fresh = ({ f, onRetry }) => {
  const [kind, icon, word, more] = words(f)
  const title = f.meta?.watermark ? `Counted up to ${stamp(Date.parse(f.meta.watermark), 0)} UTC. ${f.meta.lag_records} records behind.` : ''
  const chip = html`<${Icon} name=${icon} size="14" fill=${kind === 'live'} />${word}${more && html`<span>${more}</span>`}`
  if (f.state === 'reconnecting' || f.state === 'offline') return html`<button class=${'fresh ' + kind} title="Try now" onClick=${onRetry}>
      <span role="status" class="row">${chip}</span></button>`
  return html`<span class=${'fresh ' + kind} role="status" title=${title}>${chip}</span>`
}

export function words(f) {
  const p = f.meta?.partitions
  switch (f.state) {
    case 'live': return ['live', 'dot', 'Live', f.behindS == null ? '· no events yet' : `· ${age(f.behindS)} behind`]
    case 'stale': return ['stale', 'clock', 'Stale', '· ' + age(f.behindS)]
    case 'recovering': return ['rec', 'refresh', 'Recovering', `· ${p.present}/${p.expected}`]
    case 'reconnecting': return ['wait', 'plug', 'Reconnecting', f.retryInS > 0 ? `in ${f.retryInS} s` : 'now']
    case 'offline': return ['off', 'off', 'Offline', f.reason ? '· ' + f.reason : '']
    default: return ['wait', 'plug', 'Connecting', '']
  }
}

/** The strip under a panel's title when its data is not what it seems. */
export const Strip = ({ f }) => {
  const p = f.meta?.partitions
  if (f.state === 'recovering') return html`<div class="strip info">
      <${Icon} name="refresh" size="14" />${p.present} of ${p.expected} partitions: these are at least numbers.</div>`
  if (f.state === 'reconnecting' || f.state === 'offline') return html`<div class="strip warn">
      <${Icon} name="clock" size="14" />Not connected: the last values stay.</div>`
  return null
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
    <header class="ln"><h2>${title}</h2><span class="sp"></span>
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
