// Operations: what flows, what waits, what recovers, and what could not be taken.
import { useRef } from 'preact/hooks'
import { html } from './html.js'
import { Icon } from './icons.js'
import { Asked, Panel, Spark, State } from './parts.js'
import { useAsk } from './api.js'
import { route, set } from './router.js'
import { plural, sentence } from './say.js'
import { STATES, partitionsOf, perSecond, plain, records } from './flow.js'
import { Topology } from './topology.js'
import { DeadLetters } from './letters.js'
import * as f from './format.js'

export function Operations() {
  const of = useAsk('/v1/status', { every: 1000 }), graph = useAsk('/v1/topology'), s = of.data, past = useRef({ at: '', list: [] }).current
  if (s && past.at !== s.measured?.at) Object.assign(past, { at: s.measured?.at, list: [...past.list, s.live ?? {}].slice(-60) })
  const chosen = route.value.params.get('group'), group = s?.groups.find(g => plain(g.name) === chosen) ?? s?.groups.find(g => partitionsOf(g).some(p => p.state !== 'running')) ?? s?.groups[0]
  const change = s?.changes?.[0], events = s?.groups.find(g => plain(g.name) === 'orders')?.records_per_second
  return html`<main class="main" id="main" tabindex="-1">
  <div class="head"><h1>Operations</h1>${s && html`<p>${[events != null && `${perSecond(events).replace('/s', '')} events/s in`, plural(new Set(s.groups.flatMap(g => g.partitions.map(p => p.instance).filter(Boolean))).size, 'instance'),
    change && `${f.hms(Date.parse(change.at))} ${[change.joined.length && change.joined.join(', ') + ' joined', change.left.length && change.left.join(', ') + ' left'].filter(Boolean).join(', ')} ${plain(change.group)}`].filter(Boolean).join(' · ')}</p>`}
    <span class="sp"></span><a class="btn s" href="/v1/topology" target="_blank" rel="noopener"><${Icon} name="code" size="12" />Topology as JSON</a></div>
  <${Panel} id="p-topo" title="Topology" what="rate and lag of each edge; choose a group for its partitions" span="12" table=${() => edgeTable(s)}
      controls=${html`<div class="legend hide-s"><span><svg viewBox="0 0 16 10" aria-hidden="true"><path class="edge lag" d="M0 5h16" stroke-width="2.5" /></svg>Lagging</span>
      <span><svg viewBox="0 0 16 10" aria-hidden="true"><path class="edge fb" d="M0 5h16" stroke-width="1.5" /></svg>Feedback</span></div>`}>
    <${Asked} of=${of} height="340">${s && (graph.data ? html`<${Topology} s=${s} graph=${graph.data} chosen=${group?.name} />` : html`<div class="topo"></div>`)}<//><//>
  <div class="grid ops-grid"><${Partitions} of=${of} group=${group} /><${Recoveries} of=${of} /></div>
  <div class="grid"><${Skew} of=${of} /><${Clients} of=${of} past=${past.list} /></div>
  <div class="grid"><${DeadLetters} /></div>
</main>`
}

const edgeTable = s => ({ name: 'topology', head: ['From', 'To', 'Way', { word: 'Records/s', r: true, write: v => f.number(v, 1) }, { word: 'Lag, records', r: true, write: v => f.number(v) }, { word: 'Lag, s', r: true, write: v => f.number(v, 1) }, 'State'],
  rows: (s?.edges ?? []).map(e => [e.from, e.to, e.kind, e.records_per_second, e.lag_records, e.lag_seconds, e.lagging ? 'lagging' : 'keeps up']) })

function Partitions({ of, group }) {
  const list = partitionsOf(group), instances = [...new Set(list.map(p => p.instance))].sort()
  const count = state => list.filter(p => p.state === state).length, left = new Map(of.data?.recoveries?.filter(r => r.kind === 'group' && r.name === group?.name).map(r => [r.partition, r]))
  return html`<${Panel} id="p-parts" title="Partitions" span="8" controls=${of.data && html`<div class="seg s" role="group" aria-label="Group">${of.data.groups.map(g => html`<button aria-pressed=${g === group} onClick=${() => set({ group: plain(g.name) })}>${plain(g.name)}</button>`)}</div>`}
      footer=${list.length > 0 && html`<div class="legend">${Object.entries(STATES).filter(([state]) => state === 'running' || count(state)).map(([state, [kind, word]]) => html`<span><span class=${'cell key ' + kind}></span>${word} ${count(state)}</span>`)}</div>
      <span class="sp"></span><span>${count('stalled') ? 'stalled: restores its table or is stuck, its log says which' : 'the number is the lag in records'}</span>`}>
    <${Asked} of=${of} height="160">${list.length === 0 ? html`<${State} icon="inbox" title="No group has read anything here yet">Start one: weir process, or weir up.<//>`
    : html`<div class="scroll" tabindex="0" role="region" aria-label="Partitions and instances"><table class="pgrid-t"><thead><tr><td></td>${list.map(p => html`<th scope="col">p${p.p}</th>`)}</tr></thead>
      <tbody>${instances.map(name => html`<tr><th scope="row" class="ell" title=${name}>${name || 'nobody'}</th>${list.map(p => p.instance !== name ? html`<td><span class="cell none"></span></td>` : html`<td>
        <span class=${'cell ' + STATES[p.state][0]} title=${p.inputs.map(i => `${i.topic}/${i.partition}: ${f.number(i.lag_records)} behind, at ${i.committed_offset} of ${i.end_offset}`).join('\n')}>
        <span>${records(p.lag)}<span class="sr">, ${STATES[p.state][1]}</span></span>${left.get(p.p)?.progress != null && html`<i style=${{ width: left.get(p.p).progress * 100 + '%' }}></i>`}</span></td>`)}</tr>`)}</tbody></table></div>`}<//><//>`
}

function Recoveries({ of }) {
  const list = of.data?.recoveries ?? [], sum = list.reduce((a, r) => a + (r.records_per_second ?? 0), 0), end = list.reduce((a, r) => r.seconds_left == null ? NaN : Math.max(a, r.seconds_left), 0)
  const leftOf = r => r.seconds_left == null ? '–' : f.durationText(r.seconds_left)
  return html`<${Panel} id="p-rec" title="Recovery" what="tables and groups that are behind" footer=${list.length > 0 && html`${perSecond(sum)} together<span class="sp"></span><b class="b total">${isNaN(end) ? 'end unknown' : f.durationText(end) + ' left'}</b>`}>
    <${Asked} of=${of} height="160">${list.length === 0 ? html`<${State} icon="check" title="Nothing is behind">All tables are read, and all groups keep up.<//>`
    : html`<ul class="recs">${list.slice(0, 5).map(r => html`<li key=${r.kind + r.name + r.partition}><div class="row sm"><b class="b ell">${plain(r.name)}/p${r.partition}</b><span class="muted nw">${r.progress == null ? '' : f.percent(r.progress, 0) + ' %'}</span>
      <span class="sp"></span><span class="muted nw">${r.state === 'stalled' ? 'stalled' : perSecond(r.records_per_second)}</span><span class="b nw left">${leftOf(r)}</span></div>
      <div class="prog" role="img" aria-label=${`${STATES[r.state]?.[1]}, ${f.number(r.lag_records)} records behind`}><i style=${{ width: (r.progress ?? 0) * 100 + '%' }}></i></div></li>`)}
      ${list.length > 5 && html`<li class="sm muted">and ${f.number(list.length - 5)} more partitions</li>`}</ul>`}<//><//>`
}

const TICKS = [1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400]
/** Where each source partition stands behind the newest. The scale is by logarithm: what is near is seen apart, what is far is seen too. */
function Skew({ of }) {
  const list = of.data?.sources ?? [], topics = [...new Set(list.map(s => s.topic))], most = Math.max(10, ...list.map(s => s.behind_seconds)), end = TICKS.find(t => t >= most) ?? most
  const x = s => 100 * (1 - Math.log1p(s) / Math.log1p(end)), holds = list.find(s => s.holds), apart = innerWidth < 640 ? 30 : 18, ticks = TICKS.filter(t => t <= end).reduceRight((kept, t) => x(t) > 100 - apart || kept.length && x(t) - x(kept.at(-1)) < apart ? kept : [...kept, t], [])
  return html`<${Panel} id="p-skew" title="Watermark skew" what="each dot is a source partition" span="6" table=${() => ({ name: 'watermarks', head: ['Topic', { word: 'Partition', r: true }, { word: 'Watermark', time: true }, { word: 'Behind, s', r: true, write: v => f.number(v, 1) }, 'State'],
      rows: list.map(s => [s.topic, s.partition, Date.parse(s.watermark), s.behind_seconds, s.idle ? 'idle' : s.holds ? 'holds the watermark' : 'moves']) })}
      footer=${holds && html`<span><b class="b total">${holds.topic} p${holds.partition}</b> holds the watermark, ${f.age(holds.behind_seconds)} behind the newest</span>`}>
    <${Asked} of=${of} height="132">${list.length === 0 ? html`<${State} icon="inbox" title="No event has come yet">The time of events begins with the first one.<//>`
    : html`<div class="skew" role="img" aria-label=${`${list.length} source partitions within ${f.age(Math.max(...list.map(s => s.behind_seconds)))} of the newest event` + (holds ? `; ${holds.topic} partition ${holds.partition} holds the watermark` : '')}>
      ${topics.map(t => html`<div class="lane"><span class="sm ell" title=${t}>${t}</span><div class="track">${ticks.map(s => html`<u style=${{ left: x(s) + '%' }}></u>`)}${list.filter(s => s.topic === t).map(s => html`<i class=${s.holds ? 'holds' : s.idle ? 'idle' : ''} style=${{ left: x(s.behind_seconds) + '%' }} title=${`p${s.partition}: ${f.age(s.behind_seconds)} behind${s.idle ? ', idle' : ''}`}></i>`)}</div></div>`)}
      <div class="lane sm muted"><span></span><div class="track axis">${ticks.map(s => html`<span style=${{ left: x(s) + '%' }}>−${f.age(s).replace(/^(\d)[.,]0/, '$1')}</span>`)}<span class="newest">newest</span></div></div></div>`}<//><//>`
}

const CLOSED = { 1012: 'restart', 1013: 'full, try later', 4400: 'bad request', 4401: 'no login', 4403: 'not allowed', 4406: 'no protocol', 4408: 'no hello in time', 4409: 'taken over', 4410: 'too slow', 4429: 'too many', 4500: 'failed' }
function Clients({ of, past }) {
  const l = of.data?.live, closed = Object.entries(l?.closed ?? {}), hooks = of.data?.webhooks ?? []
  const kpi = (word, value, unit, list) => html`<div><dt>${word}</dt><dd>${value} <small>${unit}</small><${Spark} list=${list} /></dd></div>`
  return html`<${Panel} id="p-live" title="Live clients" what="of this view server; slow ones get merged frames, or a gap" span="6" footer=${l && html`<span>${plural(l.subscriptions, 'subscription')} · ${closed.length ? 'closed here: ' + closed.map(([code, n]) => `${f.number(n)} × ${code} ${CLOSED[code] ?? ''}`.trim()).join(', ') : 'none closed by this server'}${l.refused > 0 ? `; ${f.number(l.refused)} refused` : ''}</span>`}>
    <${Asked} of=${of} height="100">${!l ? html`<${State} icon="plug" title="No websocket here">This process serves none.<//>` : html`<dl class="kpis">
      ${kpi('Clients', f.number(l.connections), '', past.map(p => p.connections))}
      ${kpi('Sent', l.bytes_per_second == null ? '–' : f.number(l.bytes_per_second / 1000, l.bytes_per_second < 1e4 ? 1 : 0), 'kB/s', past.map(p => p.bytes_per_second))}
      ${kpi('Merged', l.merged_share == null ? '0' : f.percent(l.merged_share), '%', past.map(p => p.merged_share ?? 0))}
      ${kpi('Gaps', f.number(l.gaps), 'since start', past.map(p => p.gaps))}</dl>`}
    ${hooks.length > 0 && html`<ul class="hooks">${hooks.map(h => html`<li class="row sm"><${Icon} name="bolt" size="14" /><span class="ell">${sentence(h.receiver)}</span><span class="sp"></span>
      <span class=${h.lag_records > 0 && (h.lag_seconds ?? 0) > 60 ? 'warn b' : 'muted'}>${h.instances === 0 ? 'nobody delivers' : h.lag_records === 0 ? 'told of all alerts' : plural(h.lag_records, 'alert') + ' behind' + (h.lag_seconds ? ', ' + f.age(h.lag_seconds) : '')}</span></li>`)}</ul>`}<//><//>`
}
