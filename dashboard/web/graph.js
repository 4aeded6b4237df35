// What an alert's orders are connected to, as a small picture: the alert's entity in the middle, cards and customers to the right, where
// they came from to the left, orders below. Everything in it is a link, and a list beside it says the same in words.
import { html } from './html.js'
import { PATH } from './icons.js'
import { entityOf, entityPath, kindIcon, kindWord, plural, short } from './say.js'
import { to } from './router.js'

const W = 268, H = 236, X = 116, Y = 100
const MOST = { left: 4, right: 5, below: 2 }
const SIDE = { card: 'right', customer: 'right', order: 'below' }

/** Places for entities round the centre: [{key, x, y, side, alerts, orders}], and how many found none by side. */
export function layout(centre, entities, others) {
  const sides = { left: [], right: [], below: [] }, more = {}
  for (const e of entities) {
    if (e.entity === centre) continue
    const { kind } = entityOf(e.entity)
    sides[SIDE[kind] ?? 'left'].push({ key: e.entity, orders: e.orders.length, alerts: others.filter(a => a.entity === e.entity).length })
  }
  const out = []
  for (const [side, all] of Object.entries(sides)) {
    all.sort((a, b) => b.alerts - a.alerts || b.orders - a.orders) // what ties the alert to others comes first
    const shown = all.slice(0, MOST[side])
    more[side] = all.length - shown.length
    shown.forEach((e, i) => out.push({ ...e, side,
      x: side === 'left' ? 46 : side === 'right' ? 202 : X + i * 74 + (shown.length === 1 ? 20 : 0),
      y: side === 'below' ? H - 30 : side === 'right' ? Y + (i - (shown.length - 1) / 2) * 31 : shown.length === 1 ? Y : 22 + i * (shown.length > 3 ? 54 : 70) }))
  }
  return { nodes: out, more }
}

/** Ids differ in their ends, addresses of the network in their beginnings. */
const label = (kind, id, n) => kind === 'ip' && id.length > n ? id.slice(0, n - 1) + '…' : short(id, n)

const Glyph = ({ name, x, y, size = 12 }) => html`<path class="gl" d=${PATH[name]} transform=${`translate(${x - size / 2} ${y - size / 2}) scale(${size / 20})`} />`

export function Graph({ centre, entities, alerts }) {
  const { nodes, more } = layout(centre, entities, alerts), me = entityOf(centre)
  const say = `${kindWord(me.kind)} ${me.id} is connected to ${plural(entities.length - 1, 'entity', 'entities')} by its orders, and to ${plural(alerts.length, 'other alert')}`
  return html`<div class="ch graph" role="group" aria-label=${say}><svg viewBox=${`0 0 ${W} ${H}`}>
    ${nodes.map(n => html`<path class=${'ge' + (n.alerts ? ' hot' : '')} d=${n.side === 'below' ? `M${X} ${Y}Q${X} ${(Y + n.y) / 2} ${n.x} ${n.y}` : `M${X} ${Y}Q${(X + n.x) / 2} ${n.y} ${n.x} ${n.y}`} />`)}
    ${nodes.map(n => { const { kind, id } = entityOf(n.key), right = n.side === 'right', brief = label(kind, id, right ? 6 : n.side === 'below' ? 9 : 13)
      return html`<a key=${n.key} class=${'gn' + (n.alerts ? ' hot' : '')} href=${to(...entityPath(n.key))} aria-label=${`${n.alerts || ''} ${brief}: ${kindWord(kind)} ${id}, in ${plural(n.orders, 'order')}${n.alerts ? ', ' + plural(n.alerts, 'other alert') : ''}`}>
        ${right ? html`<rect class="gs" x=${n.x - 12} y=${n.y - 9} width="24" height="18" rx="4" />` : html`<circle class="gs" cx=${n.x} cy=${n.y} r=${n.side === 'below' ? 10 : 13} />`}
        <${Glyph} name=${kindIcon(kind)} x=${n.x} y=${n.y} />
        ${n.alerts > 0 && html`<circle class="gb" cx=${n.x + 12} cy=${n.y - 9} r="7" /><text aria-hidden="true" class="gc" x=${n.x + 12} y=${n.y - 5}>${n.alerts}</text>`}
        ${right ? html`<text aria-hidden="true" x=${n.x + 17} y=${n.y + 4} class=${n.alerts ? 'b' : 't'}>${brief}</text>` : html`<text aria-hidden="true" text-anchor="middle" x=${n.x} y=${n.y + 26} class=${n.alerts ? 'b' : 't'}>${brief}</text>`}
      </a>` })}
    ${more.below > 0 && html`<text text-anchor="end" x=${W} y=${H - 26}>+${more.below}</text>`}${more.right > 0 && html`<text x="219" y=${Y + 31 * 2.5 + 10}>+${more.right}</text>`}${more.left > 0 && html`<text x="40" y=${H - 2}>+${more.left}</text>`}
    <g class="gm"><circle cx=${X} cy=${Y} r="17" /><${Glyph} name=${kindIcon(me.kind)} x=${X} y=${Y} size=${16} />
        <text text-anchor="middle" x=${X} y=${Y + 33} class="b">${label(me.kind, me.id, 15)}</text></g>
  </svg></div>`
}
