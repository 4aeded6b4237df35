// Time bars: one bar for each window, the open ones hatched, the period before as a dashed line, marks for what people did. Drawn as SVG, so
// that the sheets give the colours of either theme. All charts of a page share one cross and one selection, by pointer or by keys.
import { signal } from '@preact/signals'
import { useEffect, useReducer, useRef } from 'preact/hooks'
import { html } from './html.js'
import { nice } from './model.js'
import { clock, day, offset, stamp } from './format.js'

const MINUTE = 60e3, HOUR = 60 * MINUTE, DAY = 24 * HOUR
const STEPS = [1, 5, 10, 15, 30].map(n => n * MINUTE).concat([1, 2, 3, 6, 12].map(n => n * HOUR), [1, 2, 7, 14, 30, 60, 90, 180, 365].map(n => n * DAY))
const TOP = 8, MARKS = 24, BOTTOM = 22, RIGHT = 8, SPACE = 76, CHAR = 7, LEFT = 52

const cursor = signal(null) // the time that is pointed at, in all charts
const brush = signal(null) // {a, b}: the times between which is being selected
export const KEYS_HELP = 'Left and right arrows walk the windows, with Shift they select, Enter zooms to the selection, Escape goes back.'

/** In how many parts an axis up to a round number is divided: each end is a round number too. */
export const parts = top => ({ 1: 5, 1.5: 3, 2: 4, 3: 3, 4: 4, 5: 5, 6: 3, 8: 4 })[Number((top / 10 ** Math.floor(Math.log10(top))).toPrecision(2))] ?? 4

/** Where the times of an axis stand that is so many pixels wide: round times of the person's zone, each with room for its label. */
export function times(first, end, width) {
  const step = STEPS.find(s => s / (end - first) * width >= SPACE) ?? STEPS.at(-1), zone = offset(first), out = []
  for (let t = Math.ceil((first + zone) / step) * step - zone; t < end; t += step) out.push(t)
  return out
}

/** The outline of bars from values: null and 0 draw nothing. */
function bars(list, x, y, wide, base) {
  const w = Math.min(60, wide * 0.84), at = (wide - w) / 2
  let d = ''
  list.forEach((v, i) => { if (v) d += `M${(x(i) + at).toFixed(1)} ${base}V${y(v).toFixed(1)}h${w.toFixed(1)}V${base}z` })
  return d
}

/** The size of an element, as it is laid out: [ref, [width, height]]. */
export function useSize() {
  const ref = useRef(null), [size, measure] = useReducer((was, now) => was[0] === now[0] && was[1] === now[1] ? was : now, [0, 0])
  useEffect(() => {
    const resize = new ResizeObserver(() => ref.current && measure([ref.current.clientWidth, ref.current.clientHeight]))
    resize.observe(ref.current)
    return () => resize.disconnect()
  }, [])
  return [ref, size]
}

let patterns = 0
export const Hatch = ({ id }) => html`<defs><pattern id=${id} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="lg-hatch" d="M1 0v6" /></pattern></defs>`
export const useHatch = () => useRef('hatch-' + patterns++).current

/**
 * values, before: lists by window of the line, null where there is nothing to tell; write(v): how a value is told; axis(v, top): how the axis tells it; range: names what is
 * shown, since an axis shrinks only for something new; marks: [{at, word}]; zoom(from, to): selects, without arguments goes back.
 */
export function TimeBars({ line, values, before, write, axis, label, range, marks = [], zoom }) {
  const scale = useRef({ top: 0, range: '' }).current, hatch = useHatch(), [root, [width, height]] = useSize(), anchor = useRef(null)
  if (scale.range !== range) Object.assign(scale, { range, top: 0 })
  const top = scale.top = Math.max(scale.top, nice(Math.max(0, ...values, ...(before ?? []))))
  const n = height < 130 ? 2 : parts(top), ticks = Array.from({ length: n + 1 }, (_, i) => [top * i / n, axis(top * i / n, top)]).filter(([, text], i, all) => !i || text !== all[i - 1][1])
  const end = line.last + line.step, shown = marks.filter(k => k.at >= line.first && k.at < end).slice(0, 12)
  const g = { left: Math.max(LEFT, ...ticks.map(([, text]) => text.length * CHAR + 10)), top: shown.length ? MARKS : TOP, base: height - BOTTOM, width, line }
  g.across = Math.max(1, width - g.left - RIGHT)
  const wide = g.across / line.count, x = i => g.left + i * wide, y = v => g.base - v / top * (g.base - g.top), xOf = t => g.left + (t - line.first) / (end - line.first) * g.across
  const past = before?.map((v, i) => v == null ? '' : (before[i - 1] == null ? 'M' : 'L') + (x(i) + wide / 2).toFixed(1) + ' ' + y(v).toFixed(1) + (before[i - 1] == null && before[i + 1] == null ? 'h.01' : '')).join('')

  const step = line.step, clamp = t => Math.max(line.first, Math.min(line.last, t))
  const timeAt = e => clamp(line.first + Math.floor((e.clientX - root.current.getBoundingClientRect().left - g.left) / wide) * step)
  const done = () => {
    const s = brush.peek()
    brush.value = anchor.current = null
    if (s && Math.abs(s.b - s.a) >= step) zoom?.(Math.min(s.a, s.b), Math.max(s.a, s.b) + step)
  }
  const on = {
    onPointerDown: e => { if (e.button || !zoom) return; anchor.current = timeAt(e); e.pointerType === 'mouse' && root.current.setPointerCapture(e.pointerId) },
    onPointerMove: e => { const t = timeAt(e); cursor.value = t; if (anchor.current != null) brush.value = { a: anchor.current, b: t } },
    onPointerUp: done, onPointerCancel: () => { brush.value = anchor.current = null },
    onPointerLeave: () => { if (anchor.current == null && !root.current.matches(':focus-visible')) cursor.value = null },
    onDblClick: () => zoom?.(), onBlur: () => { cursor.value = brush.value = null },
    onKeyDown: e => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -line.count, End: line.count }[e.key], at = cursor.peek(), s = brush.peek()
      if (by) {
        const t = at == null ? line.last : clamp(at + by * step)
        cursor.value = t
        brush.value = e.shiftKey && zoom ? { a: s?.a ?? at ?? t, b: t } : null
      } else if (e.key === 'Enter' && s) done()
      else if (e.key === 'Escape' && (s || at != null)) brush.value = cursor.value = anchor.current = null
      else return
      e.preventDefault()
    },
  }
  return html`<div class="ch bars-t" ref=${root} tabindex="0" role="img" aria-label=${label} aria-description=${KEYS_HELP} ...${on}>
    ${width > 0 && html`<svg viewBox=${`0 0 ${width} ${height}`} aria-hidden="true"><${Hatch} id=${hatch} />
      ${ticks.map(([v, text]) => html`<path class="grid-l" d=${`M${g.left} ${y(v)}H${width - RIGHT}`} /><text x=${g.left - 6} y=${y(v) + 4} text-anchor="end">${text}</text>`)}
      ${times(line.first, end, g.across).map(t => html`<text x=${xOf(t)} y=${height - 6} text-anchor=${xOf(t) < g.left + 20 ? 'start' : xOf(t) > width - 24 ? 'end' : 'middle'}>${step >= DAY || (t + offset(t)) % DAY === 0 ? day(t) : clock(t)}</text>`)}
      <path class="lg-bar" d=${bars(values.map((v, i) => i < line.closed ? v : null), x, y, wide, g.base)} />
      <path class="open-b" fill=${`url(#${hatch})`} d=${bars(values.map((v, i) => i < line.closed ? null : v), x, y, wide, g.base)} />
      ${past && html`<path class="lg-halo" d=${past} /><path class="lg-dash" fill="none" d=${past} />`}
      ${shown.map(k => html`<${Mark} k=${k} x=${xOf(k.at)} g=${g} end=${width - RIGHT} />`)}</svg>`}
    <${Cross} g=${g} wide=${wide} values=${values} before=${before} write=${write} marks=${shown} /></div>
    <${Said} of=${root} line=${line} values=${values} before=${before} write=${write} />`
}

/** What people did: a diamond at its time, with its words where there is room. */
const Mark = ({ k, x, g, end }) => html`<path class="mark-l" d=${`M${x} ${g.top - 8}V${g.base}`} /><path class="mark-d" d=${`M${x} 4l5 5l-5 5l-5 -5z`} />
  <text class="t" x=${x > end - 110 ? x - 9 : x + 9} y="13" text-anchor=${x > end - 110 ? 'end' : 'start'}>${k.word}</text>`

const indexOf = (t, line) => { const i = Math.floor((t - line.first) / line.step); return t != null && i >= 0 && i < line.count ? i : null }

/** The cross and the selection that all charts share, over this one. */
function Cross({ g, wide, values, before, write, marks }) {
  const { line } = g, at = indexOf(cursor.value, line), s = brush.value
  const x = t => g.left + (t - line.first) / line.step * wide
  const band = s && { left: x(Math.max(line.first, Math.min(s.a, s.b))), width: (Math.abs(s.b - s.a) / line.step + 1) * wide }
  if (at == null && !band) return null
  const t = line.first + at * line.step, mid = g.left + (at + 0.5) * wide, right = mid > g.width / 2
  return html`${band && html`<div class="band" style=${{ left: band.left + 'px', width: Math.min(band.width, g.width - RIGHT - band.left) + 'px', top: g.top + 'px', bottom: BOTTOM + 'px' }}></div>`}
    ${at != null && html`<div class="cross-l" style=${{ left: mid + 'px', top: g.top + 'px', bottom: BOTTOM + 'px' }}></div>
    <div class="tip" style=${{ top: g.top + 'px', [right ? 'right' : 'left']: (right ? g.width - mid : mid) + 10 + 'px' }}>
      <div class="muted">${windowWord(t, line.step)}${at >= line.closed && ', open'}</div>
      <table><tbody><tr><td>This window</td><td>${write(values[at])}</td></tr>${before && html`<tr><td>Period before</td><td>${write(before[at])}</td></tr>`}
        ${marks.filter(k => k.at >= t && k.at < t + line.step).map(k => html`<tr><td colspan="2">${k.word}</td></tr>`)}</tbody></table></div>`}`
}

export const windowWord = (t, step) => step >= DAY ? stamp(t, step) : `${stamp(t, step)}–${clock(t + step)}`

/** The window that the keys have come to, told politely: only by the chart that has the focus. */
function Said({ of, line, values, before, write }) {
  const at = indexOf(cursor.value, line), s = brush.value, key = `${at} ${s?.a} ${s?.b}`, said = useRef({ key: '', text: '' }).current
  if (said.key !== key) Object.assign(said, { key, text: !of.current?.matches(':focus-visible') || at == null ? '' : `${windowWord(line.first + at * line.step, line.step)}: ${write(values[at])}${at >= line.closed ? ', open' : ''}${before ? `, period before ${write(before[at])}` : ''}${s ? `; ${Math.abs(s.b - s.a) / line.step + 1} windows selected` : ''}` })
  return html`<span class="sr" aria-live="polite">${said.text}</span>`
}
