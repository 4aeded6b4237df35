// A rule over the past: how far it has come, what it would have found, what that changes against the rules in force, and, where it is
// known what was fraud, how well it does at each threshold.
import { useEffect, useReducer, useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon } from './icons.js'
import { EntityLink, Pill, State, sentenceOf } from './parts.js'
import { ask, useAsk } from './api.js'
import { asDocument } from './editor.js'
import { route, set } from './router.js'
import * as f from './format.js'
import { plural, predicate } from './say.js'

const SPANS = [['1', 'last hour'], ['24', 'last 24 h'], ['168', 'last 7 days'], ['720', 'last 30 days'], ['', 'all that is kept']]
const STATES = { running: ['info', 'Running', 'refresh'], done: ['good', 'Done', 'check'], cancelled: ['warn', 'Stopped', 'x'], failed: ['bad', 'Failed', 'warn'] }
const sums = list => list.map(m => f.exact({ ...m, amount: String(m.amount) }))

export function Backtest({ id, fresh, yaml, edited, blocked }) {
  const job = route.value.params.get('backtest') ?? '', [hours, setHours] = useState('24'), [refused, refuse] = useState(''), [ended, end] = useState('')
  const answer = useAsk(job ? '/v1/rules/backtest/' + encodeURIComponent(job) : null, { every: ended === job ? 0 : 1000, version: ended === job }), b = answer.data
  useEffect(() => { if (b && b.state !== 'running') end(job) }, [b?.state])
  const run = async () => {
    refuse('')
    try {
      const body = { ...(edited || fresh ? { yaml: asDocument(yaml, id).document } : { id }), ...(hours && { from: new Date(Date.now() - hours * 3600e3).toISOString() }), against: 'current' }
      set({ backtest: (await ask('/v1/rules/backtest', { method: 'POST', body })).body.id })
    } catch (e) { refuse(e.status === 404 || e.status === 405 ? 'This server runs no backtests.' : e.problem.problems?.[0]?.message ?? e.message) }
  }
  const stop = async () => { try { await ask('/v1/rules/backtest/' + encodeURIComponent(job), { method: 'DELETE' }); answer.reload() } catch (e) { refuse(e.message) } }
  const r = b?.report, running = b?.state === 'running'
  return html`<div class="grid"><section class="panel c12" aria-labelledby="p-back"><header><h2 id="p-back">Backtest</h2>
      <p class="ell">${r ? `${f.moment(Date.parse(r.from))} – ${f.moment(Date.parse(r.to))} ${f.zoneWord()}, ${plural(r.events, 'event')} in ${f.durationText(r.seconds)}` : 'the rule over what the topics hold; nothing is told to anybody'}</p>
      ${b && html`<${Pill} of=${STATES[b.state]} />`}<span class="sp"></span>
      <label class="btn s pick"><span class="sr">Over</span>
          <select value=${hours} onChange=${e => setHours(e.target.value)}>${SPANS.map(([h, w]) => html`<option value=${h}>${w}</option>`)}</select>
          <${Icon} name="down" size="12" /></label>
      ${running ? html`<button class="btn s" onClick=${stop}>Stop</button>` : html`<button class="btn s" disabled=${blocked} onClick=${run}>
          <${Icon} name="play" size="12" />${job ? 'Run again' : 'Run'}</button>`}</header>
    ${refused && html`<div class="strip bad" role="alert"><${Icon} name="warn" size="14" />${sentenceOf(refused)}</div>`}
    ${b?.partial && html`<div class="strip warn"><${Icon} name="clock" size="14" />At least these: it ended early (${b.partial}).</div>`}
    ${running && html`<${Progress} b=${b} />`}
    ${b?.state === 'failed' && html`<div class="body"><${State} icon="warn" title="It failed">${sentenceOf(b.problem)}<//></div>`}
    ${!b && answer.error?.status === 404 && html`<div class="body">
        <${State} icon="inbox" title="This backtest is gone">Reports are kept for an hour. Run it again.<//></div>`}
    ${r && html`<${Report} r=${r} id=${id} />`}</section></div>`
}

function Progress({ b }) {
  const share = b.total ? Math.min(1, b.events / b.total) : 0, left = share > 0.02 ? (Date.now() - Date.parse(b.started)) / 1000 * (1 - share) / share : null
  return html`<div class="body"><div class="row sm">
      <b class="b">${b.total ? plural(b.events, 'event') + ' of about ' + f.number(b.total) : 'Reading the topics'}</b><span class="sp"></span>
      <span class="muted">${b.total ? f.percent(share, 0) + ' %' : ''}${left != null ? `, about ${f.durationText(Math.max(1, Math.round(left)))} left` : ''}</span></div>
    <div class="prog" role="progressbar" aria-label="Backtest" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)}>
        <i style=${{ width: share * 100 + '%' }}></i></div></div>`
}

function Report({ r, id }) {
  const now = r.rules.find(x => x.id === id) ?? r.rules.find(x => !r.against?.rules.some(y => y.id === x.id)) ?? r.rules[0], then = r.against?.rules.find(x => x.id === now?.id), labels = now?.labels, o = r.against
  if (!now) return html`<div class="body"><${State} icon="inbox" title="Nothing was tried">The document has no rule.<//></div>`
  const before = then && then.state === 'live' ? then : null, kpi = (k, v, more) => html`<div><dt>${k}</dt>
      <dd>${v} <small>${more}</small></dd></div>`, wins = sums(now.at_risk)
  return html`<div class="body">
    ${(r.warnings ?? []).map(w => html`<p class="warn sm">${sentenceOf(w)}</p>`)}${now.broken > 0 && html`<p class="bad sm">${plural(now.broken, 'evaluation')} ended by a defect of the rule.</p>`}
    <dl class="kpis">${kpi('Alerts a day', f.number(now.alerts_per_day, now.alerts_per_day < 10 ? 1 : 0), before ? `live ${f.number(before.alerts_per_day, before.alerts_per_day < 10 ? 1 : 0)}` : `${plural(now.alerts, 'alert')} in all`)}
      ${labels ? kpi('Precision', f.percent(labels.precision, 0) + ' %', before?.labels ? `live ${f.percent(before.labels.precision, 0)} %` : '') : kpi('About', f.number(now.entities), `${now.entities === 1 ? 'entity' : 'entities'}, ${plural(now.orders, 'order')}`)}
      ${labels ? kpi('Recall', f.percent(labels.recall, 0) + ' %', before?.labels ? `live ${f.percent(before.labels.recall, 0)} %` : '') : kpi('Others say so too', f.number(now.shared.entities), `of ${f.number(now.entities)}`)}
      ${kpi('At risk', wins[0] ?? '–', wins.length > 1 ? html`<span title=${wins.join(' + ')}>+${wins.length - 1}</span>` : '')}</dl>
    ${o && html`<div class="shadow-row"><div class="row"><h2>Against the rules in force</h2>
        <span class="sm muted">entities with alerts, all live rules together</span></div><${Overlap} o=${o} /></div>`}
    ${labels?.curve.length ? html`<div class="shadow-row">
        <${Curve} points=${labels.curve} /></div>` : html`<p class="sm muted shadow-row">How right these are is not known here: no truth stands beside the topics. Decide on shadow alerts, or run <code>weir rules backtest</code> with labels, to see precision and recall by threshold.</p>`}
    ${now.samples.length > 0 && html`<div class="shadow-row"><div class="row"><h2>Sample matches</h2>
        <span class="sm muted">${now.samples.length} of ${f.number(now.alerts)}</span></div><div class="scroll"><table class="tbl flush"><thead><tr>
        <th scope="col">When, ${f.zoneWord()}</th><th scope="col">About</th><th scope="col">Because</th><th scope="col" class="r">Hits</th>
        <th scope="col" class="r">Score</th><th scope="col" class="r">At risk</th></tr></thead>
      <tbody>${now.samples.map(a => html`<tr key=${a.id}><td class="muted">${f.moment(Date.parse(a.started))}</td><td>
          <${EntityLink} of=${a.entity} /></td><td class="ell name">${a.explanation.map(p => predicate(p).what).join(', ') || a.reason}</td>
          <td class="r">${f.number(a.hits)}</td><td class="r">${a.score}</td>
          <td class="r">${f.exact(a.at_risk)}</td></tr>`)}</tbody></table></div></div>`}</div>`
}

function Overlap({ o }) {
  const parts = [[o.only_then.entities, 'v-then', 'Only before'], [o.both.entities, 'v-both', 'Both'], [o.only_now.entities, 'v-only', 'Only with this']]
  return html`<div class="venn" role="img" aria-label=${parts.map(([n, , w]) => `${w}: ${n}`).join(', ')}>${parts.map(([n, c]) => n > 0 && html`<span class=${c} style=${{ flex: n }}>${f.number(n)}</span>`)}</div>
      <div class="legend">${parts.map(([n, c, w]) => html`<span><i class=${'key ' + c}></i>${w} ${n === 0 ? '0' : ''}</span>`)}</div>`
}

const W = 640, H = 220, LEFT = 46, BASE = H - 40
/** Precision and recall if only alerts with at least a score counted. The arrow keys walk the threshold. */
function Curve({ points }) {
  const all = [...points].sort((a, b) => a.score - b.score), [i, at] = useReducer((_, n) => Math.max(0, Math.min(all.length - 1, n)), 0), p = all[Math.min(i, all.length - 1)]
  const lo = all[0].score, hi = all.at(-1).score, x = s => LEFT + (hi > lo ? (s - lo) / (hi - lo) : 0.5) * (W - LEFT - 90), y = v => BASE - v * (BASE - 16), line = k => all.map((q, n) => (n ? 'L' : 'M') + x(q.score).toFixed(1) + ' ' + y(q[k]).toFixed(1)).join('')
  const key = e => { const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[e.key]; if (step) { e.preventDefault(); at(i + step) } }
  const near = e => { const r = e.currentTarget.getBoundingClientRect(), s = (e.clientX - r.left) / r.width * W; at(all.reduce((b, q, n) => Math.abs(x(q.score) - s) < Math.abs(x(all[b].score) - s) ? n : b, 0)) }
  return html`<div class="row"><h2>Threshold</h2>
      <span class="sm muted">if only alerts from score ${p.score} counted: ${plural(p.alerts, 'alert')}, precision ${f.percent(p.precision, 0)} %, recall ${f.percent(p.recall, 0)} %${p.value_caught?.length ? `, ${sums(p.value_caught)[0]} caught` : ''}</span></div>
    <div class="ch curve" tabindex="0" role="slider" aria-label="Least score of an alert" aria-valuemin=${lo} aria-valuemax=${hi} aria-valuenow=${p.score} aria-valuetext=${`score ${p.score}: precision ${f.percent(p.precision, 0)} %, recall ${f.percent(p.recall, 0)} %`} onKeyDown=${key} onClick=${near}>
        <svg viewBox=${`0 0 ${W} ${H}`} aria-hidden="true">
      ${[0, 0.25, 0.5, 0.75, 1].map(v => html`<path class="grid-l" d=${`M${LEFT} ${y(v)}H${W - 90}`} />
          <text x=${LEFT - 6} y=${y(v) + 4} text-anchor="end">${f.percent(v, 0)} %</text>`)}
      <path class="cu p" d=${line('precision')} /><path class="cu r" d=${line('recall')} /><path class="cross on" d=${`M${x(p.score)} 10V${BASE}`} />
      ${all.map(q => html`<circle class="cd p" cx=${x(q.score)} cy=${y(q.precision)} r="3" />
          <rect class="cd r" x=${x(q.score) - 3} y=${y(q.recall) - 3} width="6" height="6" />`)}
      ${all.filter((q, n) => n === 0 || n === all.length - 1 || x(q.score) - x(all[n - 1].score) > 24).map(q => html`<text x=${x(q.score)} y=${BASE + 18} text-anchor="middle">${q.score}</text>`)}<text x=${(LEFT + W - 90) / 2} y=${H - 4} text-anchor="middle">score, at least</text>
      <text class="b" x=${x(hi) + 10} y=${y(all.at(-1).precision) + 4}>Precision</text>
          <text class="b" x=${x(hi) + 10} y=${y(all.at(-1).recall) + (Math.abs(all.at(-1).recall - all.at(-1).precision) < 0.1 ? 20 : 4)}>Recall</text></svg></div>`
}
