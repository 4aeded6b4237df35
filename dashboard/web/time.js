// What the pages over time have in common: their head, their legend, the way back from a zoom, and what stands where nothing happened.
import { html } from './html.js'
import { Icon } from './icons.js'
import { State, copy } from './parts.js'
import { rangeWord } from './controls.js'
import { tell, useKeys } from './notice.js'
import { catalogue, choose, currencies, currency, range } from './store.js'
import * as m from './model.js'
import * as f from './format.js'

/** zoom(from, to) goes to a part of the range, zoom() back to where it came from. Escape goes back too. */
export function useZoom() {
  const zoom = (from, to) => { if (from != null) { if (to - from >= 2 * 60e3) choose({ from, to }) } else if (range.value.from) choose({ from: '', to: '' }) }
  useKeys(range.value.from ? { Escape: () => zoom() } : {})
  return zoom
}

export function PageHead({ title, v, children }) {
  const from = v.line.first, end = v.line.last + v.line.step, until = v.r.to ?? Math.min(end, Math.max(v.mark, v.line.last + 1)), before = f.span(v.line.prevFirst, until - v.r.ms, v.line.step)
  const link = async () => tell(await copy(location.href) ? 'The link to this view is copied.' : 'The browser does not let the link be copied: take it from the address bar.')
  return html`<div class="head"><h1>${title}</h1><p>${f.span(from, until, v.line.step)}${v.line.step < 86400e3 && ' ' + f.zoneWord()}${v.previous && `, compared with ${before}`}</p><span class="sp"></span>
    ${v.r.from && html`<button class="btn s" onClick=${() => choose({ from: '', to: '' })} title="Escape"><${Icon} name="zoom" size="12" />Back to ${rangeWord(v.r.base).toLowerCase()}</button>`}
    ${children}<${CurrencyPicker} /><button class="btn s hide-s" onClick=${link}><${Icon} name="link" size="12" />Copy link</button></div>`
}

function CurrencyPicker() {
  const all = [...currencies().keys()]
  if (all.length < 2) return null
  return html`<label class="btn s pick"><span class="muted">Money in</span><select value=${currency.value} onChange=${e => choose({ currency: e.target.value })} aria-label="Currency of all amounts">${all.map(c => html`<option value=${c}>${c}</option>`)}</select><${Icon} name="down" size="12" /></label>`
}

export const legend = v => html`<div class="legend">
  <span><svg viewBox="0 0 16 10" aria-hidden="true"><rect class="lg-bar" width="16" height="10" rx="2" /></svg>${v.r.label ?? 'This range'}</span>
  ${v.previous && html`<span><svg viewBox="0 0 16 10" aria-hidden="true"><path class="lg-dash" d="M0 5h16" /></svg>Period before</span>`}
  <span><svg viewBox="0 0 16 10" aria-hidden="true"><rect class="lg-open" x=".5" y=".5" width="15" height="9" rx="2" /><path class="lg-hatch" d="M2 10L9 0M7 10l7-10" /></svg>Open window</span>
  <span class="hide-s">Drag to zoom all</span></div>`

/** The table behind time bars. file(x): a value as the file has it. */
export const chartTable = (name, v, s, before, write, file = x => x) => ({ name, head: [{ word: 'From', time: true }, { word: 'To', time: true }, { word: sentenceCase(name), r: true, write: (_, row) => write(row[5]) }, { word: 'Period before', r: true, write: (_, row) => write(row[6]) }, 'Window'],
  rows: s.now.map((x, i) => { const t = v.line.first + i * v.line.step; return [t, t + v.line.step, file(x), before && file(before[i]), i < v.line.closed ? 'closed' : 'open', x, before?.[i]] }) })
const sentenceCase = s => s[0].toUpperCase() + s.slice(1)

/** What was looked at, and one way on. */
export function Empty({ v, what }) {
  const known = catalogue.value.overview.currencies.length > 0, longer = !v.r.from && m.RANGES[m.RANGES.findIndex(r => r.name === v.r.name) + 1]
  const action = v.r.from ? html`<button class="btn s" onClick=${() => choose({ from: '', to: '' })}>Back to ${rangeWord(v.r.base).toLowerCase()}</button>` : known && longer && html`<button class="btn s" onClick=${() => choose({ range: longer.name })}>Show ${longer.label.toLowerCase()}</button>`
  return html`<${State} icon="inbox" title=${`${what} in this range`} action=${action}>${known ? `Ranges count back from the newest event that has been counted, ${v.mark ? f.stamp(v.mark, 0) + ' ' + f.zoneWord() : 'unknown yet'}.` : 'Waiting for the first event: send some to the topics orders, payments and shipments, or replay a file.'}<//>`
}
