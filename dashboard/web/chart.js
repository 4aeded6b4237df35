// Time bars: one bar for each window, the open ones hatched, the period before as a dashed line. Drawn as SVG, so that the sheets give
// the colours of either theme; with a tooltip, and keys.
import { useEffect, useReducer, useRef, useState } from 'preact/hooks'
import { html } from './html.js'
import { nice } from './model.js'
import { clock, day, stamp } from './format.js'

const MINUTE = 60e3, HOUR = 60 * MINUTE, DAY = 24 * HOUR
const STEPS = [1, 5, 10, 15, 30].map(n => n * MINUTE).concat([1, 2, 3, 6, 12].map(n => n * HOUR), [1, 2, 7, 14, 30, 60, 90, 180, 365].map(n => n * DAY))
const TOP = 8, BOTTOM = 28, RIGHT = 8, SPACE = 76, CHAR = 7

/** In how many parts an axis up to a round number is divided: each end is a round number too. */
export const parts = top => ({ 1: 5, 1.5: 3, 2: 4, 3: 3, 4: 4, 5: 5, 6: 3, 8: 4 })[Number((top / 10 ** Math.floor(Math.log10(top))).toPrecision(2))] ?? 4

/** Where the times of an axis stand that is so many pixels wide: round times, each with room for its label. */
export function times(first, end, width) {
  const step = STEPS.find(s => s / (end - first) * width >= SPACE) ?? STEPS.at(-1), out = []
  for (let t = Math.ceil(first / step) * step; t < end; t += step) out.push(t)
  return out
}

/** The outline of bars from values: null and 0 draw nothing. */
function bars(list, x, y, wide, base) {
  const w = Math.min(60, wide * 0.84), at = (wide - w) / 2
  let d = ''
  list.forEach((v, i) => { if (v) d += `M${(x(i) + at).toFixed(1)} ${base}V${y(v).toFixed(1)}h${w.toFixed(1)}V${base}z` })
  return d
}

let patterns = 0

/** values: list by window; closed: how many of them have ended; write(v): how a value is told; axis(v): how the axis tells it. */
export function TimeBars({ line, values, before, write, axis, height = 212, label, range }) {
  const root = useRef(null), scale = useRef({ top: 0, range: '' }).current, hatch = useRef('hatch-' + patterns++).current
  const [width, measure] = useReducer((_, w) => w, 0), [at, point] = useState(null)
  useEffect(() => {
    const resize = new ResizeObserver(() => root.current && measure(root.current.clientWidth))
    resize.observe(root.current)
    return () => resize.disconnect()
  }, [])
  if (scale.range !== range) Object.assign(scale, { range, top: 0 }) // an axis shrinks only for a new range
  const top = scale.top = Math.max(scale.top, nice(Math.max(0, ...values, ...(before ?? []))))
  const n = parts(top), marks = Array.from({ length: n + 1 }, (_, i) => [top * i / n, axis(top * i / n, top)]).filter(([, text], i, all) => !i || text !== all[i - 1][1])
  const left = Math.max(...marks.map(([, text]) => text.length)) * CHAR + 10, end = line.last + line.step, base = height - BOTTOM
  const across = Math.max(0, width - left - RIGHT), wide = across / line.count, x = i => left + i * wide, y = v => base - v / top * (base - TOP), xOf = t => left + (t - line.first) / (end - line.first) * across
  let was = '', pen = false
  before?.forEach((v, i) => { was += (pen ? 'L' : 'M') + (x(i) + wide / 2).toFixed(1) + ' ' + y(v).toFixed(1); pen = true })
  const key = e => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key]
    if (!step) { if (e.key === 'Escape') point(null); return }
    e.preventDefault()
    point(Math.max(0, Math.min(line.count - 1, (at ?? line.count) + step)))
  }
  const over = e => { const i = Math.floor((e.clientX - root.current.getBoundingClientRect().left - left) / wide); point(i >= 0 && i < line.count ? i : null) }
  return html`<div class="ch bars-t" ref=${root} tabindex="0" role="img" aria-label=${label} onKeyDown=${key} onBlur=${() => point(null)} onPointerMove=${over} onPointerLeave=${() => point(null)} style=${{ height: height + 'px' }}>
    ${width > 0 && html`<svg viewBox=${`0 0 ${width} ${height}`} aria-hidden="true"><defs>
        <pattern id=${hatch} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <path class="lg-hatch" d="M1 0v6" /></pattern></defs>
      ${marks.map(([v, text]) => html`<path class="grid-l" d=${`M${left} ${y(v)}H${width - RIGHT}`} />
          <text x=${left - 6} y=${y(v) + 4} text-anchor="end">${text}</text>`)}
      ${times(line.first, end, across).map(t => html`<text x=${xOf(t)} y=${height - 8} text-anchor=${xOf(t) < left + 20 ? 'start' : xOf(t) > width - 24 ? 'end' : 'middle'}>${line.step >= 6 * HOUR || t % DAY === 0 ? day(t) : clock(t)}</text>`)}
      <path class="lg-bar" d=${bars(values.map((v, i) => i < line.closed ? v : null), x, y, wide, base)} />
      <path class="open-b" fill=${`url(#${hatch})`} d=${bars(values.map((v, i) => i < line.closed ? null : v), x, y, wide, base)} />
      ${was && html`<path class="lg-dash" fill="none" d=${was} />`}
      ${at != null && html`<path class="cross" d=${`M${x(at) + wide / 2} ${TOP}V${base}`} />`}</svg>`}
    ${at != null && at < line.count && html`<${Tip} ...${{ line, at, values, before, write, x: x(at) + wide / 2, width }} />`}</div>`
}

/** What one window holds. */
function Tip({ line, at, values, before, write, x, width }) {
  const t = line.first + at * line.step, right = x > width / 2
  return html`<div class="tip" style=${{ top: '8px', [right ? 'right' : 'left']: (right ? width - x : x) + 12 + 'px' }}>
      <div class="muted">${stamp(t, line.step) + (line.step < DAY ? ' UTC' : '')}</div>
    <table><tbody><tr><td>${at < line.closed ? 'This window' : 'Open window'}</td><td>${write(values[at])}</td></tr>${before && html`<tr>
        <td>Period before</td><td>${write(before[at])}</td></tr>`}</tbody></table></div>`
}
