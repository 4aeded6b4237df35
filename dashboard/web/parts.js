// The pieces that pages are made of: panels, tiles, deltas, states, sparklines, the freshness chip.
import { html } from './html.js'
import { Icon } from './icons.js'
import { age, percent, stamp } from './format.js'

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
  return html`<div class="ch spark" aria-hidden="true"><svg viewBox=${`0 0 ${w} ${h}`} preserveAspectRatio="none"><path class=${quiet ? 'sp quiet' : 'sp'} d=${path} /></svg><i class="dot" style=${{ left: lastX / w * 100 + '%', top: lastY / h * 100 + '%' }}></i></div>`
}

export const Skeleton = ({ height }) => html`<div class="col skeleton" aria-busy="true" style=${{ height: height + 'px' }}><div class="sk a"></div><div class="sk b"></div><div class="sk c"></div></div>`

export const State = ({ icon, title, children, height }) => html`<div class="state" style=${height ? { minHeight: height + 'px' } : {}}><${Icon} name=${icon} size="20" /><b class="b">${title}</b><p class="muted">${children}</p></div>`

/** The body of a panel in each of its states: error, not counted, loading, empty, or what it shows. */
export const Stateful = ({ feeds, height, empty, children }) => {
  const missing = feeds.find(f => f?.missing), failed = feeds.find(f => f?.error)
  if (missing) return html`<${State} icon="inbox" title="Not counted here" height=${height}>The metric ${missing.missing} is not in this installation's configuration.<//>`
  if (failed) return html`<${State} icon="warn" title="This panel could not be read" height=${height}>${failed.error.param ? failed.error.param + ': ' : ''}${failed.error.detail}<//>`
  if (feeds.some(f => f && !f.ready)) return html`<${Skeleton} height=${height} />`
  return empty || children
}

/** One chip says how fresh the whole page is; icon and words, never colour alone. */
export const Fresh = ({ f, onRetry }) => {
  const [kind, icon, word, more] = words(f)
  const title = f.meta?.watermark ? `Counted up to ${stamp(Date.parse(f.meta.watermark), 0)} UTC. ${f.meta.lag_records} records behind.` : ''
  const chip = html`<${Icon} name=${icon} size="14" fill=${kind === 'live'} />${word}${more && html`<span>${more}</span>`}`
  if (f.state === 'reconnecting' || f.state === 'offline') return html`<button class=${'fresh ' + kind} title="Try now" onClick=${onRetry}><span role="status" class="row">${chip}</span></button>`
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
  if (f.state === 'recovering') return html`<div class="strip info"><${Icon} name="refresh" size="14" />${p.present} of ${p.expected} partitions: these are at least numbers.</div>`
  if (f.state === 'reconnecting' || f.state === 'offline') return html`<div class="strip warn"><${Icon} name="clock" size="14" />Not connected: the last values stay.</div>`
  return null
}
