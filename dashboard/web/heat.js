// A heat map: names down, hours across, seven steps of one colour; the open hour is hatched. Walked with the arrow keys.
import { useRef, useState } from 'preact/hooks'
import { html } from './html.js'
import { Hatch, useHatch, useSize, windowWord } from './chart.js'
import { clock } from './format.js'

const HOUR = 3600e3, BOTTOM = 20, GAP = 2, LEVELS = 7
const level = (v, max) => v > 0 ? Math.min(LEVELS - 1, 1 + Math.floor(v / max * (LEVELS - 1) * 0.9999)) : 0

/** The key to the colours, from nothing to the most. */
export const Scale = ({ from, to }) => html`<span class="row sm muted scale" aria-hidden="true">${from}${Array.from({ length: LEVELS }, (_, i) => html`<i class=${'h' + i}></i>`)}${to}</span>`

/** of: {names, cells, max} of model.grid; first: the first hour; closed: how many hours have ended; pick(name): what a click does. */
export function Heat({ of, first, closed, write, label, pick, picked }) {
  const { names, cells, max } = of, hours = cells[0]?.length ?? 0, hatch = useHatch(), [root, [width, height]] = useSize(), [at, point] = useState(null), focused = useRef(false)
  const left = Math.min(110, Math.max(48, ...names.map(n => n.length * 6.6 + 10))), w = Math.max(1, (width - left) / hours), h = Math.max(1, (height - BOTTOM) / names.length)
  const rect = (i, j) => `M${(left + j * w).toFixed(1)} ${(i * h).toFixed(1)}h${(w - GAP).toFixed(1)}v${(h - GAP).toFixed(1)}h${(GAP - w).toFixed(1)}z`
  const paths = Array.from({ length: LEVELS }, () => '')
  let open = ''
  cells.forEach((row, i) => row.forEach((v, j) => { paths[level(v, max)] += rect(i, j); if (j >= closed) open += rect(i, j) }))
  const cell = e => { const r = root.current.getBoundingClientRect(), j = Math.floor((e.clientX - r.left - left) / w), i = Math.floor((e.clientY - r.top) / h); return i >= 0 && i < names.length && j < hours ? [i, Math.max(0, j)] : null }
  const key = e => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]
    if (by) point(at ? [Math.max(0, Math.min(names.length - 1, at[0] + by[0])), Math.max(0, Math.min(hours - 1, at[1] + by[1]))] : [0, hours - 1])
    else if (e.key === 'Enter' && at) pick(names[at[0]])
    else if (e.key === 'Escape' && at) point(null)
    else return
    e.preventDefault()
  }
  const told = at && names[at[0]] && [names[at[0]], windowWord(first + at[1] * HOUR, HOUR), write(cells[at[0]][at[1]]) + (at[1] >= closed ? ', open' : '')]
  const every = Math.max(1, Math.ceil(34 / w)), x = at && left + at[1] * w, right = x > width / 2
  return html`<div class="ch heat" ref=${root} tabindex="0" role="img" aria-label=${label} aria-description="Arrow keys walk the cells, Enter filters by the row." onKeyDown=${key}
      onFocus=${() => { focused.current = true }} onBlur=${() => { focused.current = false; point(null) }} onPointerMove=${e => point(cell(e))} onPointerLeave=${() => focused.current || point(null)} onClick=${e => { const c = cell(e); c && pick(names[c[0]]) }}>
    ${width > 0 && html`<svg viewBox=${`0 0 ${width} ${height}`} aria-hidden="true"><${Hatch} id=${hatch} />
      ${names.map((n, i) => html`<text class=${picked(n) ? 't b' : 't'} x="0" y=${i * h + (h - GAP) / 2 + 4}>${n.length > 15 ? n.slice(0, 14) + '…' : n}</text>`)}
      ${paths.map((d, i) => html`<path class=${'h' + i} d=${d} />`)}<path d=${open} fill=${`url(#${hatch})`} />
      ${Array.from({ length: hours }, (_, j) => j).filter(j => j % every === 0).map(j => html`<text x=${left + j * w + (w - GAP) / 2} y=${height - 4} text-anchor="middle">${clock(first + j * HOUR).slice(0, 2)}</text>`)}
      ${at && html`<path class="heat-at" d=${rect(...at)} />`}</svg>`}
    ${told && html`<div class="tip" style=${{ top: Math.min(height - 70, (at[0] + 1) * h + 4) + 'px', [right ? 'right' : 'left']: (right ? width - x : x + w) + 6 + 'px' }}><div class="muted">${told[0]}, ${told[1]}</div><b class="b">${told[2]}</b></div>`}</div>
    <span class="sr" aria-live="polite">${focused.current && told && told.join(', ')}</span>`
}
