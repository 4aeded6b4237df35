// What the pages over time are asked: the range, the filters, and what one may know and change about the view as a whole.
import { useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon } from './icons.js'
import { Dialog, words } from './parts.js'
import { useAsk, query } from './api.js'
import { RANGES } from './model.js'
import { sentence } from './say.js'
import { addFilter, catalogue, choose, dropFilter, filters, fresh, held, local, paused, range, retry, setLocal, setPaused } from './store.js'
import * as f from './format.js'

export const rangeWord = r => r.label ?? f.span(r.from, r.to, 60e3)

export function Updates({ hide }) {
  return html`<div class=${'seg' + (hide ? ' hide-s' : '')} role="group" aria-label="Updates">
    <button aria-pressed=${!paused.value} onClick=${() => setPaused(false)}><${Icon} name="play" size="12" fill />Live</button>
    <button aria-pressed=${paused.value} onClick=${() => setPaused(true)}>
        <${Icon} name="pause" size="12" />${paused.value ? 'Paused' : 'Pause'}${paused.value && html`<span class="held">· ${f.number(held.value)} updates held</span>`}</button>
  </div>`
}

/** The range: one of the usual, or from and to. */
export function RangePicker() {
  const [asking, ask] = useState(false), r = range.value
  const chosen = e => { if (e.target.value === 'custom') { ask(true); e.target.value = r.from ? 'now' : r.name } else if (e.target.value !== 'now') choose({ range: e.target.value }) }
  return html`<label class="btn pick"><${Icon} name="clock" />
      <select value=${r.from ? 'now' : r.name} onChange=${chosen} aria-label="Time range, back from the newest counted event">
        ${r.from && html`<option value="now">${rangeWord(r)}</option>`}${RANGES.map(r => html`<option value=${r.name}>${r.label}</option>`)}<option value="custom">From … to …</option></select>
      <${Icon} name="down" size="12" /></label>${asking && html`<${Between} onClose=${() => ask(false)} />`}`
}

// A field of the browser knows no zone: what it shows is shifted into the person's.
const asField = t => new Date(t + f.offset(t)).toISOString().slice(0, 16)
const ofField = text => { const t = Date.parse(text + 'Z'); return t - f.offset(t) }

function Between({ onClose }) {
  const r = range.value, mark = Date.parse(fresh.peek().meta?.watermark ?? '') || Date.now(), [wrong, say] = useState('')
  const done = e => {
    e.preventDefault()
    const { from, to } = e.target.elements, a = ofField(from.value), b = ofField(to.value)
    if (!(a < b)) { say('The range must begin before it ends.'); return }
    onClose()
    choose({ from: a, to: b })
  }
  return html`<${Dialog} title="Time range" onClose=${onClose}><form class="col form" onSubmit=${done}>
    <label>From, ${f.zoneWord()}<input class="field" type="datetime-local" name="from" required value=${asField(r.from ?? mark - r.ms)} /></label>
    <label>To, ${f.zoneWord()}<input class="field" type="datetime-local" name="to" required value=${asField(r.to ?? mark)} /></label>
    <p class="sm ${wrong ? 'bad' : 'muted'}" role="status">${wrong || 'It is widened to whole windows: minutes, hours or days, by how long it is and how long they are kept.'}</p>
    <div class="row"><span class="sp"></span><button class="btn pri">Show</button></div></form><//>`
}

export function Filters({ wrap }) {
  const [asking, ask] = useState(false)
  return html`<div class=${'chips' + (wrap ? ' wrap' : '')}>${filters.value.map(([label, value]) => { const text = `${sentence(label)}: ${value}`; return html`<span class="chip on" key=${text} title=${text}><span class="ell">${text}</span>
      <button aria-label=${'Remove filter ' + text} onClick=${() => dropFilter(label, value)}><${Icon} name="x" size="12" /></button></span>` })}
    <button class="chip add" onClick=${() => ask(true)} aria-haspopup="dialog"><${Icon} name="plus" size="12" />Filter</button></div>${asking && html`<${AddFilter} onClose=${() => ask(false)} />`}`
}

// Which metric knows a label best, and so its values.
const KNOWS = { region: 'orders', country: 'orders', channel: 'orders', category: 'item_revenue', method: 'revenue', carrier: 'shipments_dispatched' }
const MAX_VALUES = 200

function AddFilter({ onClose }) {
  const known = Object.entries(KNOWS).filter(([label, metric]) => catalogue.value.metrics.some(m => m.name === metric && m.labels.includes(label)))
  const [label, choosing] = useState(known[0]?.[0]), metric = KNOWS[label]
  const of = useAsk(metric ? `/v1/metrics/${metric}?` + query({ window: 'all', by: label }) : null)
  const values = of.data && [...new Set(of.data.series.map(s => s.labels[label]))].sort().slice(0, MAX_VALUES)
  const done = e => { e.preventDefault(); const v = e.target.elements.value?.value; onClose(); if (v) addFilter(label, v) }
  return html`<${Dialog} title="Filter" onClose=${onClose}><form class="col form" onSubmit=${done}>
    <label>By<select class="field" value=${label} onChange=${e => choosing(e.target.value)}>${known.map(([l]) => html`<option value=${l}>${sentence(l)}</option>`)}</select></label>
    <label>Value<select class="field" name="value" required disabled=${!values?.length}>${values?.map(v => html`<option value=${v}>${v}</option>`) ?? html`<option>${of.error ? of.error.message : 'Reading the values'}</option>`}</select></label>
    <p class="muted sm">Values of one label are alternatives; different labels must all hold. A panel that is not counted by a label says so.</p>
    <div class="row"><span class="sp"></span><button class="btn pri" disabled=${!values?.length}>Add</button></div></form><//>`
}

/** What the freshness chip opens: how fresh, and on a telephone what the top bar has no room for. */
export function View({ onClose, overTime }) {
  const v = fresh.value, m = v.meta, [, , word, more] = words(v), at = t => t ? f.moment(Date.parse(t)) + ' ' + f.zoneWord() : 'none yet'
  return html`<${Dialog} title="View" onClose=${onClose}><div class="col form">
    <div class="only-s"><${Updates} /></div>${overTime && html`<div class="only-m"><${Filters} wrap /></div>`}
    <dl class="dl"><dt>Now</dt><dd><b class="b">${word}</b> ${more}</dd>
      <dt>Counted up to</dt><dd>${at(m?.watermark)}</dd><dt>Newest record written</dt><dd>${at(m?.as_of)}</dd><dt>All counted that was sent until</dt><dd>${m?.caught_up_at ? at(m.caught_up_at) : 'not known'}</dd>
      ${m && html`<dt>Records behind</dt><dd>${f.number(m.lag_records)}</dd><dt>Partitions</dt><dd>${m.partitions.present} of ${m.partitions.expected}</dd>`}</dl>
    ${v.quietS != null && html`<p class="muted sm">Everything that was sent is counted: the shop is quiet.</p>`}
    ${v.catchingUp && html`<p class="muted sm">Records wait to be counted, and are being counted: the newest numbers will still grow. <a class="link" href="/operations">Operations</a> shows how many.</p>`}
    ${v.state === 'stale' && html`<p class="muted sm">Records wait to be counted, or it cannot be told whether any do. <a class="link" href="/operations">Operations</a> shows where.</p>`}
    ${(v.state === 'reconnecting' || v.state === 'offline') && html`<button class="btn" onClick=${retry}><${Icon} name="refresh" size="14" />Connect now</button>`}
    <div class="row"><span>Times</span><span class="sp"></span><div class="seg" role="group" aria-label="Times">
      <button aria-pressed=${!local.value} onClick=${() => setLocal(false)}>UTC</button><button aria-pressed=${local.value} onClick=${() => setLocal(true)}>Local</button></div></div>
  </div><//>`
}
