// The topology drawn: topics, groups and tables from left to right, each way as wide as it is busy.
import { html } from './html.js'
import { PATH } from './icons.js'
import { useSize } from './chart.js'
import { set } from './router.js'
import { STATES, WORST, partitionsOf, perSecond, plain } from './flow.js'
import { age, number } from './format.js'

const WIDE = 960, WIDTHS = [120, 132, 124, 132, 120], HEIGHT = 364
const GROUPS = { orders: [1, 94, 100], metrics: [2, 24, 68], entities: [2, 110, 76], alerts: [2, 214, 84] }
const TABLES = { metrics: [3, 32, 52], entities: [3, 122, 52], alerts: [3, 206, 52], orders: [3, 304, 52] }
const thick = rate => Math.min(6, 1 + Math.log10(1 + (rate ?? 0)) * 0.9)
const told = e => `${perSecond(e.records_per_second)} · lag ${number(e.lag_records)}`

/** Records that a group reads, of all its inputs; null until measured. */
const reads = (s, name) => s.edges.filter(e => e.kind === 'reads' && plain(e.to) === plain(name)).reduce((sum, e) => e.records_per_second == null ? sum : (sum ?? 0) + e.records_per_second, null)

export function Topology({ s, graph, chosen }) {
  const [root, [width]] = useSize(), w = Math.max(width, WIDE), more = w - 992
  const X = [0, 182 + more * .2, 492 + more * .5, 676 + more * .75, 872 + more], at = (col, y, h) => ({ x: X[col], y, w: WIDTHS[col], h })
  const edge = (from, to) => s.edges.find(e => plain(e.from) === from && plain(e.to) === to), has = name => s.groups.some(g => plain(g.name) === name)
  const sources = graph.topics.filter(t => t.role === 'source').map((t, i, all) => ({ name: t.name, ...at(0, 32 + i * Math.min(86, 258 / all.length), all.length > 3 ? 44 : 52), e: s.edges.find(e => e.from === t.name && plain(e.to) === 'orders') }))
  const groups = Object.entries(GROUPS).filter(([name]) => has(name)).map(([name, a]) => ({ name, ...at(...a), g: s.groups.find(g => plain(g.name) === name) }))
  const tables = Object.entries(TABLES).filter(([name]) => has(name)).map(([name, a]) => ({ name, ...at(...a), e: edge(name, name + '-table'), t: s.tables.find(t => plain(t.name) === name + '-table') }))
  const g = Object.fromEntries(groups.map(n => [n.name, n])), t = Object.fromEntries(tables.map(n => [n.name, n])), server = at(4, 192, 104), bus = X[3] + WIDTHS[3] + 30
  const between = [g.orders && g.metrics && [g.orders, g.metrics, 22, 34, 'deltas', edge('deltas', 'metrics')], g.orders && g.entities && [g.orders, g.entities, 42, 38, 'observations', edge('observations', 'entities')],
    g.orders && g.alerts && [g.orders, g.alerts, 84, 42, 'findings', edge('orders', 'findings')]].filter(Boolean)
  const decisions = edge('view server', 'alert-commands'), found = edge('entities', 'findings'), meta = s.tables.find(t => plain(t.name) === 'metrics-table')
  return html`<div class="scroll topo-s" tabindex="0" role="region" aria-label="Topology, drawn"><div class="topo ch" ref=${root}><svg width=${w} height=${HEIGHT} viewBox=${`0 0 ${w} ${HEIGHT}`} role="group" aria-label="Topics, groups, tables and the view server, and what goes between them">
    ${['Topics', 'Join', 'Derive', 'Tables', 'Serve'].map((word, i) => html`<text x=${X[i]} y="12">${word}</text>`)}
    ${g.orders && sources.map((n, i) => html`<${Way} from=${n} to=${g.orders} b=${30 + i * 40 / Math.max(1, sources.length - 1)} e=${n.e} />`)}
    ${between.map(([from, to, a, b, word, e]) => html`<${Way} from=${from} to=${to} a=${a} b=${b} e=${e} word=${word} />`)}
    ${g.entities && g.alerts && html`<path class="edge" d=${`M${g.entities.x + 62} 186V210`} stroke-width=${thick(found?.records_per_second)} /><${Head} x=${g.entities.x + 62} y="214" down />
      <text class="t" x=${g.entities.x + 70} y="204">findings ${perSecond(found?.records_per_second)}</text>`}
    ${tables.filter(n => n.name !== 'orders').map(n => html`<${Way} from=${g[n.name]} to=${n} a=${n.y + 26 - g[n.name].y} e=${n.e} />`)}
    ${t.orders && html`<path class="edge" d=${`M${g.orders.x + 66} 194V312Q${g.orders.x + 66} 330 ${g.orders.x + 84} 330H${t.orders.x - 5}`} stroke-width=${thick(t.orders.e?.records_per_second)} /><${Head} x=${t.orders.x - 1} y="330" />
      <text class="t" x=${g.orders.x + 192} y="324">order rows</text><text x=${g.orders.x + 192} y="346">${perSecond(t.orders.e?.records_per_second)}</text>`}
    ${tables.map(n => html`<path class="edge" d=${`M${n.x + n.w} ${n.y + 26}H${bus}`} stroke-width="1.25" /><circle class="joint" cx=${bus} cy=${n.y + 26} r="3" />`)}
    ${tables.length > 0 && html`<path class="edge" d=${`M${bus} ${tables[0].name === 'orders' ? tables.at(-1).y + 26 : 58}V330`} stroke-width="2" /><path class="edge" d=${`M${bus} 244H${server.x - 5}`} stroke-width="1.5" /><${Head} x=${server.x - 1} y="244" />`}
    ${g.alerts && html`<path class="edge fb" d=${`M${server.x} 282H${g.alerts.x + g.alerts.w + 6}`} stroke-width="1.25" /><${Head} x=${g.alerts.x + g.alerts.w + 1} y="282" back />
      <text class="t" x=${X[3]} y="297">decisions ${perSecond(decisions?.records_per_second)}</text>`}
    ${sources.map(n => html`<${Node} n=${n} icon="topic" lines=${[n.e ? told(n.e) : 'not read']} hot=${n.e?.lagging} />`)}
    ${groups.map(n => { const list = partitionsOf(n.g), worst = WORST.find(w => list.some(p => p.state === w)) ?? 'running', bad = worst !== 'running', state = `${list.filter(p => p.state === worst).length}/${list.length} ${STATES[worst][1].toLowerCase()}`
      return html`<${Node} n=${n} icon="group" rec=${bad} picked=${n.g.name === chosen} onPick=${() => set({ group: n.name })} lines=${[bad ? [state] : state, ...(n.name === 'orders' ? [`${n.g.instances} ${n.g.instances === 1 ? 'instance' : 'instances'}`] : []), n.g.lag_seconds > 0.5 ? age(n.g.lag_seconds) + ' behind' : perSecond(reads(s, n.g.name)) + ' read']} />` })}
    ${tables.map(n => html`<${Node} n=${n} icon="db" rec=${n.t && n.t.partitions.present < n.t.partitions.expected} lines=${[n.t ? `${n.t.partitions.present}/${n.t.partitions.expected} read here` : 'not read here']} />`)}
    <${Node} n=${{ name: 'view server', ...server }} icon="server" lines=${[s.live ? `${number(s.live.connections)} ${s.live.connections === 1 ? 'client' : 'clients'}` : 'no websocket', `${s.live?.subscriptions ?? 0} subscribed`, meta?.lag_records ? `${number(meta.lag_records)} behind` : 'up to date']} />
  </svg></div></div>`
}

const Head = ({ x, y, hot, back, down }) => html`<path class=${'joint' + (hot ? ' lag' : '')} d=${down ? `M${x - 3.5} ${y - 6}l3.5 6 3.5-6z` : back ? `M${x + 6} ${y - 3.5}l-6 3.5 6 3.5z` : `M${x - 6} ${y - 3.5}l6 3.5-6 3.5z`} />`

/** A way turns close to where it begins and runs level into where it ends; its name stands above the line, rate and lag below. */
function Way({ from, to, a = from.h / 2, b, e, word }) {
  const x1 = from.x + from.w, y1 = from.y + a, x2 = to.x - 1, y2 = to.y + (b ?? y1 - to.y), t = Math.min(56, x2 - x1 - 8), hot = e?.lagging
  return html`<path class=${'edge' + (hot ? ' lag' : '')} d=${`M${x1} ${y1}C${x1 + t / 2} ${y1} ${x1 + t / 2} ${y2} ${x1 + t} ${y2}H${x2 - 4}`} stroke-width=${thick(e?.records_per_second)} /><${Head} x=${x2} y=${y2} hot=${hot} />
    ${word && html`<text class="t" x=${x1 + t + 4} y=${y2 - 6}>${word}</text><text class=${hot ? 'lag' : ''} x=${x1 + t + 4} y=${y2 + 16}>${e ? word === 'findings' ? perSecond(e.records_per_second) : told(e) : '–'}</text>`}`
}

function Node({ n, icon, lines, rec, hot, picked, onPick }) {
  const label = [n.name, ...lines.flat()].join(' ')
  const press = onPick && { tabindex: 0, role: 'button', 'aria-pressed': !!picked, 'aria-label': label, onClick: onPick, onKeyDown: e => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); onPick() } } }
  return html`<g class=${'node' + (rec ? ' rec' : '') + (picked ? ' sel' : '')} ...${press ?? {}}><rect class="bx" x=${n.x + .5} y=${n.y + .5} width=${n.w - 1} height=${n.h - 1} rx="8" />
    <svg x=${n.x + 10} y=${n.y + 10} width="14" height="14" viewBox="0 0 20 20" class="i" aria-hidden="true"><path d=${PATH[icon]} /></svg><text class="b" x=${n.x + 30} y=${n.y + 21}>${n.name.length > 13 ? n.name.slice(0, 12) + '…' : n.name}</text>
    ${lines.map((l, i) => html`${' '}<text class=${Array.isArray(l) ? 'now' : hot ? 'lag' : ''} x=${n.x + 10} y=${n.y + 40 + i * 16}>${l}</text>`)}</g>`
}
