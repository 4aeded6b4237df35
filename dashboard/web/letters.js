// Dead letters: what could not be taken, by reason; each with what to do about it, and the way back to where it came from.
import { useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon } from './icons.js'
import { Asked, Dialog, Panel, State, sentenceOf } from './parts.js'
import { ask, query, useAsk } from './api.js'
import { route, set, to } from './router.js'
import { plural } from './say.js'
import { tell, who } from './notice.js'
import { me } from './store.js'
import * as f from './format.js'

const REASONS = { json: 'No JSON object', missing_field: 'A field is missing', unknown_type: 'Unknown type of event', bad_time: 'Time cannot be read', future: 'Ahead of the clock', bad_money: 'Amount cannot be read', bad_currency: 'Unknown currency', bad_country: 'Unknown country',
  bad_value: 'A value cannot be read', too_large: 'Too large', key_mismatch: 'Key is not the order', expired: 'Older than orders are kept', refused: 'Its order is full', panic: 'Defect of weir', webhook: 'Not taken by a receiver' }
const PAGE = 25, MOST = 200
const since = t => Date.now() - Date.parse(t) < 43200e3 ? f.hms(Date.parse(t)) : f.moment(Date.parse(t))
const where = p => `${p.topic}/${p.partition}@${p.offset}`

/** Replays what the body names, in the name of whoever asks, and tells what became of it. */
async function replay(body, after) {
  if (!await who()) return
  try {
    const { body: r } = await ask('/v1/dead-letters/replay', { method: 'POST', body: { ...body, author: me.value } })
    const no = r.results.find(o => o.status !== 'replayed')
    tell(`${f.number(r.replayed)} replayed` + (r.refused ? `, ${f.number(r.refused)} not: ${no.why}` : '') + (r.left ? `; ${f.number(r.left)} more wait` : ''), { bad: r.replayed === 0 })
  } catch (e) { tell('Not replayed. ' + sentenceOf(e.message), { bad: true }) }
  after()
}

export function DeadLetters() {
  const p = route.value.params, reason = p.get('reason') ?? '', id = p.get('letter'), [n, more] = useState(PAGE)
  const of = useAsk('/v1/dead-letters?' + query({ replayed: 'exclude', limit: MOST }), { every: 5000 }), d = of.data, all = d?.letters ?? []
  const reasons = Object.entries(d?.reasons ?? {}).sort((a, b) => Date.parse(b[1].last) - Date.parse(a[1].last)), shown = all.filter(l => l.reason === reason)
  const can = reasons.reduce((a, [, c]) => a + c.can_replay, 0), newest = r => all.find(l => l.reason === r)
  const Again = ({ body, count, of: what }) => html`<button class="btn s" aria-label=${`Replay ${plural(count, 'letter')} ${what}`} onClick=${() => replay(body, of.reload)}><${Icon} name="refresh" size="12" />Replay${count > 1 ? ' ' + f.number(count) : ''}</button>`
  return html`<${Panel} id="p-dead" title="Dead letters" span="12" what=${d ? d.total ? `${f.number(d.total)} wait, nothing is stopped by them` : 'none wait' : ''} table=${() => ({ name: 'dead-letters', head: [{ word: 'Refused', time: true }, 'Reason', 'Detail', 'Where', 'Key', 'Letter'], rows: all.map(l => [Date.parse(l.at), l.reason, l.detail, where(l.place), l.key.text ?? l.key.base64, l.id]) })}
      controls=${can > 0 && reasons.length > 1 && html`<${Again} body=${{ reason: reasons.filter(([, c]) => c.can_replay).map(([r]) => r) }} count=${can} of="of all reasons" />`}
      footer=${d && (d.left_out > 0 || d.unread > 0) && html`<span>${d.unread > 0 ? `${f.number(d.unread)} records of the topic are still being read. ` : ''}${d.left_out > 0 ? `About ${f.number(d.left_out)} older letters are not looked at.` : ''}</span>`}>
    <${Asked} of=${of} height="120">${reasons.length === 0 ? html`<${State} icon="check" title="No dead letter waits">Whatever cannot be read as an event comes here, with the reason, and nothing stops for it.<//>`
    : html`<div class="scroll" tabindex="0" role="region" aria-label="Dead letters by reason"><table class="tbl flush dead"><thead><tr><th>Last</th><th>Reason</th><th class="hide-s">Where</th><th class="r">Count</th><th><span class="sr">Replay</span></th></tr></thead><tbody>
      ${reasons.map(([r, c]) => { const l = newest(r), open = r === reason; return html`<tr key=${r}><td class="muted">${since(c.last)}</td><td class="name"><div class="row"><button class="btn ghost s" aria-expanded=${open} onClick=${() => { more(PAGE); set({ reason: open ? '' : r }) }}><${Icon} name="down" size="12" /><b class="b">${REASONS[r] ?? r}</b></button><span class="ell muted hide-s" title=${l?.detail}>${l?.detail}</span></div></td>
        <td class="hide-s"><span class="tpo">${l && where(l.place)}</span></td><td class="r">${f.number(c.count)}</td><td class="r">${c.can_replay > 0 ? html`<${Again} body=${{ reason: [r] }} count=${c.can_replay} of=${'of ' + r} />` : html`<span class="sm muted">mend first</span>`}</td></tr>
        ${open && shown.slice(0, n).map(l => html`<tr class="sub" key=${l.id}><td class="muted">${since(l.at)}</td><td class="name"><div class="row"><button class="link ell" onClick=${() => set({ letter: l.id })} title=${l.detail}>${l.detail || l.id}</button>${l.replay_of && html`<span class="pill warn">replayed before</span>`}</div></td>
          <td class="hide-s"><span class="tpo">${where(l.place)}</span></td><td class="r"></td><td class="r">${l.replay.can ? html`<${Again} body=${{ ids: [l.id] }} count=${1} of=${l.id} />` : ''}</td></tr>`)}
        ${open && c.count > n && html`<tr class="sub"><td></td><td colspan="4">${shown.length > n ? html`<button class="link sm" onClick=${() => more(n + PAGE)}>Show more of ${f.number(c.count)}</button>` : html`<span class="sm muted">The others are older: /v1/dead-letters?reason=${r}</span>`}</td></tr>`}` })}
    </tbody></table></div>`}<//>
    ${id && html`<${Letter} id=${id} onClose=${() => set({ letter: '' })} onReplay=${force => replay({ ids: [id], force }, of.reload)} />`}<//>`
}

const bytes = b => b.text ?? (b.base64 ? 'base64: ' + b.base64 : '')
const pretty = text => { try { return JSON.stringify(JSON.parse(text), null, 2) } catch { return text } }

function Letter({ id, onClose, onReplay }) {
  const of = useAsk('/v1/dead-letters/' + id.split('@').map(encodeURIComponent).join('/')), l = of.data
  const again = async force => { await onReplay(force); of.reload() }
  return html`<${Dialog} title=${'Dead letter ' + id} wide onClose=${onClose}><${Asked} of=${of} missing="It is gone" height="200">${l && html`<div class="col form">
    <p><b class="b">${REASONS[l.reason] ?? l.reason}</b> <span class="muted">${l.detail}</span></p><p>${l.what_to_do}</p>
    <dl class="dl"><dt>Refused</dt><dd>${f.moment(Date.parse(l.at))}</dd><dt>Where</dt><dd class="tpo">${where(l.place)}</dd><dt>Key</dt><dd class="mono ell">${bytes(l.key) || 'none'}</dd>
      ${l.order_id && html`<dt>Order</dt><dd><a class="link" href=${to('orders', l.order_id)}>${l.order_id}</a></dd>`}${l.headers.map(h => html`<dt>${h.name}</dt><dd class="mono ell">${bytes(h.value)}</dd>`)}
      ${l.replay_of && html`<dt>Replayed before</dt><dd>as ${l.replay_of}, ${plural(l.replays, 'time')}</dd>`}</dl>
    <pre class="raw" tabindex="0" aria-label="Value">${l.value.bytes ? pretty(bytes(l.value)) : 'no value'}</pre>${l.value.cut && html`<p class="sm muted">The first part of ${f.number(l.value.bytes)} bytes.</p>`}
    <div class="row"><span class="sm muted">${l.replayed ? `${l.replayed.author} replayed it ${f.moment(Date.parse(l.replayed.at))}: it stands at ${where(l.replayed.place)}.` : l.replay.can ? 'It would be taken now. An event that was counted is not counted again.' : sentenceOf(l.replay.why)}</span><span class="sp"></span>
      ${!l.replayed && (l.replay.can || l.replay.force) && html`<button class=${'btn' + (l.replay.can ? ' pri' : '')} onClick=${() => again(!l.replay.can)}>${l.replay.can ? 'Replay' : 'Replay by force'}</button>`}</div></div>`}<//><//>`
}
