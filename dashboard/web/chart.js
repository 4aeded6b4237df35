// Time bars: one bar for each window, the open ones hatched, the period before as a dashed line. Drawn by uPlot on a canvas; this
// file gives it the look of the page, the tooltip, and keys.
import { html } from './html.js'
import { useEffect, useRef } from 'preact/hooks'
import { nice } from './model.js'
import { clock, day, stamp } from './format.js'

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

function hatch(colour) {
  const px = devicePixelRatio || 1, c = document.createElement('canvas'), n = 6 * px
  c.width = c.height = n
  const g = c.getContext('2d')
  g.strokeStyle = colour
  g.lineWidth = 2 * px
  for (const d of [-n, 0, n]) { g.beginPath(); g.moveTo(d - px, n + px); g.lineTo(d + n + px, -px); g.stroke() }
  return g.createPattern(c, 'repeat')
}

/** values: list by window; closed: how many of them have ended; write(v): how a value is told; axis(v): how the axis tells it. */
export function TimeBars({ line, values, before, write, axis, height = 212, label, range }) {
  const root = useRef(null), box = useRef(null), tip = useRef(null), state = useRef({ top: 0, range: '' })
  state.current.props = { line, values, before, write, axis }

  useEffect(() => {
    let plot = null
    const build = () => {
      plot?.destroy()
      box.current.textContent = ''
      plot = new uPlot(options(state, tip, box.current.clientWidth, height), data(state.current), box.current)
      state.current.plot = plot
    }
    build()
    const resize = new ResizeObserver(() => { if (box.current && plot.width !== box.current.clientWidth) plot.setSize({ width: box.current.clientWidth, height }) })
    resize.observe(box.current)
    const theme = new MutationObserver(build)
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
    const dark = matchMedia('(prefers-color-scheme: dark)')
    dark.addEventListener('change', build)
    return () => { resize.disconnect(); theme.disconnect(); dark.removeEventListener('change', build); plot.destroy() }
  }, [])

  useEffect(() => {
    const s = state.current
    if (s.range !== range) { s.range = range; s.top = 0 } // an axis shrinks only for a new range
    if (s.plot && s.plot.height !== height) s.plot.setSize({ width: s.plot.width, height })
    s.plot?.setData(data(s))
    point(s, tip.current, s.plot?.cursor.idx)
  })

  const key = e => {
    const s = state.current, step = { ArrowLeft: -1, ArrowRight: 1 }[e.key]
    if (!step) { if (e.key === 'Escape') point(s, tip.current, null); return }
    e.preventDefault()
    const i = Math.max(0, Math.min(s.props.line.count - 1, (s.at ?? s.props.line.count) + step))
    const x = s.plot.valToPos(s.plot.data[0][i], 'x')
    s.plot.setCursor({ left: x, top: 10 })
  }
  return html`<div class="ch bars-t" ref=${root} tabindex="0" role="img" aria-label=${label} onKeyDown=${key} onBlur=${() => point(state.current, tip.current, null)} style=${{ height: height + 'px' }}><div ref=${box}></div><div class="tip" ref=${tip} hidden></div></div>`
}

function data(s) {
  const { line, values, before } = s.props
  const x = [], done = [], open = [], was = []
  for (let i = 0; i < line.count; i++) {
    x.push((line.first + (i + 0.5) * line.step) / 1000)
    done.push(i < line.closed ? values[i] : null)
    open.push(i < line.closed ? null : values[i])
    was.push(before ? before[i] : null)
  }
  s.top = Math.max(s.top, nice(Math.max(0, ...values, ...(before ?? []))))
  return [x, done, open, was]
}

function options(state, tip, width, height) {
  const s = state.current, bar = css('--bar'), font = '12px ' + css('--font')
  const bars = uPlot.paths.bars({ size: [0.84, 60], radius: 0.12 })
  return {
    width, height, legend: { show: false }, padding: [8, 8, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    tzDate: ts => uPlot.tzDate(new Date(ts * 1000), 'Etc/UTC'),
    scales: {
      x: { range: () => { const l = s.props.line; return [l.first / 1000, (l.last + l.step) / 1000] } },
      y: { range: () => [0, s.top] },
    },
    axes: [
      { stroke: css('--muted'), font, grid: { show: false }, ticks: { show: false }, border: { show: true, stroke: css('--line-2'), width: 1 }, size: 28, gap: 6, space: width < 480 ? 64 : 80,
        values: (_, ts) => ts.map(t => s.props.line.step >= 3600e3 * 6 ? day(t * 1000) : t % 86400 === 0 ? day(t * 1000) : clock(t * 1000)) },
      { stroke: css('--muted'), font, grid: { stroke: css('--grid'), width: 1 }, ticks: { show: false }, size: (u, vs) => { u.ctx.font = 12 * (devicePixelRatio || 1) + 'px ' + css('--font'); return Math.ceil(Math.max(20, ...(vs ?? []).map(v => u.ctx.measureText(v ?? '').width / (devicePixelRatio || 1)))) + 10 }, gap: 6, space: 38, values: (_, vs) => vs.map(v => s.props.axis(v, s.top)) },
    ],
    series: [
      {},
      { paths: bars, fill: bar, stroke: bar, width: 0, points: { show: false } },
      { paths: bars, fill: () => hatch(bar), stroke: bar, width: 1, points: { show: false } },
      { stroke: css('--ghost'), width: 1.5, dash: [4, 3], points: { show: false } },
    ],
    hooks: { setCursor: [u => point(s, tip.current, u.cursor.left >= 0 ? u.cursor.idx : null)] },
  }
}

/** Shows what one window holds. */
function point(s, tip, i) {
  if (!tip) return
  s.at = i ?? null
  const { line, values, before, write } = s.props
  if (i == null || i >= line.count || !s.plot) { tip.hidden = true; return }
  const t = line.first + i * line.step
  const rows = [[i < line.closed ? 'This window' : 'Open window', write(values[i])]]
  if (before) rows.push(['Period before', write(before[i])])
  tip.textContent = ''
  const head = document.createElement('div')
  head.textContent = stamp(t, line.step) + (line.step < 86400e3 ? ' UTC' : '')
  head.className = 'muted'
  const table = document.createElement('table')
  for (const [k, v] of rows) {
    const tr = table.insertRow()
    tr.insertCell().textContent = k
    tr.insertCell().textContent = v
  }
  tip.append(head, table)
  tip.hidden = false
  const x = s.plot.valToPos(s.plot.data[0][i], 'x') + s.plot.over.offsetLeft, w = tip.offsetWidth, all = s.plot.width
  tip.style.left = Math.max(0, x + 12 + w > all ? x - 12 - w : x + 12) + 'px'
  tip.style.top = '8px'
}
