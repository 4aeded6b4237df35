// The pieces that pages are made of, each in all its forms.
import { html } from '/html.js'
import { Icon, PATH, Severity } from '/icons.js'
import { Asked, Delta, Fresh, Meter, Panel, Person, Pill, Place, Skeleton, Spark, State, Stateful, Strip, Tile } from '/parts.js'
import { RULE_STATE, STATUS } from '/say.js'

const meta = (present = 12) => ({ watermark: '2026-03-03T11:48:23Z', lag_records: 4211, partitions: { present, expected: 12 } })
const CHIPS = [{ state: 'connecting' }, { state: 'live', behindS: 0.4, meta: meta() }, { state: 'live', behindS: null, meta: meta() }, { state: 'stale', behindS: 14, meta: meta() }, { state: 'stale', behindS: 93_784, meta: meta() },
  { state: 'recovering', meta: meta(9) }, { state: 'reconnecting', retryInS: 3 }, { state: 'reconnecting', retryInS: 0 }, { state: 'offline' }, { state: 'offline', reason: 'sign in again' }]
const LINE = [3, 4, 6, 5, null, 7, 9, 8, 12, 11], HUGE = '€123,456', WORDS = 'A label that is far longer than anybody would have thought it could be'
const failed = (status, message, data) => ({ data, stale: !!data, error: Object.assign(new Error(message), { status }) })

export const Pieces = () => html`<main class="main book" id="main"><div class="head"><h1>Pieces</h1></div><div class="grid">
  <${Panel} id="x-fresh" title="Freshness" what="one chip in the top bar; icon and words" span=${12}><div class="shelf">${CHIPS.map(f => html`<${Fresh} f=${f} onRetry=${() => {}} />`)}</div><//>
  <${Panel} id="x-strip" title="Strips" span=${12}>${CHIPS.slice(5, 9).map(f => html`<${Strip} f=${f} />`)}<//>
  ${[[[['486', '']], { v: 0.061, text: '6.1 %' }, LINE], [[['€1.68', 'M']], { v: -0.009, text: '0.9 pp', good: 1 }, LINE], [[['5', 'h'], ['12', 'm']], { v: -0.05, text: '14 min', good: -1 }, LINE], [[['–', '']], { v: null, text: '' }, []], [[['486', '']], { v: 0, text: '0.0 %' }, [1, 1, 1]], [[[HUGE, 'M']], { v: 12345.678, text: '1,234,567.8 %', good: -1 }, LINE]]
    .map(([value, delta, list], i) => html`<${Tile} label=${['Orders per minute', 'Payment success', 'Time to ship', 'Nothing yet', 'Muted', 'Revenue in three years'][i]} value=${value} delta=${delta} spark=${html`<${Spark} list=${list} />`} muted=${i === 4} />`)}
  <${Panel} id="x-load" title="Loading" what="shape first, no spinner"><${Skeleton} height=${160} /><//>
  <${Panel} id="x-empty" title="Empty" what="nothing happened, and we know it"><${State} icon="inbox" title="No alerts in this hour">4 live rules looked at 177,480 events.<//><//>
  <${Panel} id="x-error" title="Error" what="what, why, what now"><${Asked} of=${failed(500, 'the table could not be read')} /><//>
  <${Panel} id="x-stale" title="Stale"><${Asked} of=${failed(0, 'The server does not answer.', {})}><p>486</p><//><//>
  <${Panel} id="x-missing" title="Missing"><${Asked} of=${failed(404, 'nothing is known of it')} missing="No such order" /><//>
  <${Panel} id="x-counted" title="Not counted" what=${WORDS}><${Stateful} feeds=${[{ missing: 'deliveries' }]} height=${120} /><//>
  <${Panel} id="x-delta" title="Changes"><div class="shelf">${[-1, 0, 1].flatMap(good => [-0.1, 0, 0.1].map(v => html`<${Delta} v=${v} text="10.0 %" good=${good} />`))}<${Delta} v=${0.1} text="10.0 %" muted /><${Delta} v=${null} text="" /></div><//>
  <${Panel} id="x-sev" title="Severity"><div class="shelf">${['critical', 'high', 'medium', 'low'].map(s => html`<${Severity} of=${s} />`)}</div><//>
  <${Panel} id="x-pill" title="Pills"><div class="shelf">${[...Object.values(STATUS), ...Object.values(RULE_STATE)].map(p => html`<${Pill} of=${p} />`)}</div><//>
  <${Panel} id="x-meter" title="Meters">${[[0.2, false], [0.99, false], [1, false], [1.4, true], [40, true]].map(([ratio, over]) => html`<p class="sm muted">${ratio}</p><${Meter} ratio=${ratio} over=${over} label=${ratio + ' times the limit'} />`)}<//>
  <${Panel} id="x-who" title="People and places"><div class="shelf"><${Person} /><${Person} name="ana" mine /><${Person} name="żaneta" />
    <${Place} p=${{ topic: 'payments', partition: 7, offset: 184220913, order_id: 'ord-7C2D' }} /><${Place} p=${{ topic: 'payments', partition: 7, offset: 184220914 }} /></div><//>
  <${Panel} id="x-icon" title="Icons" span=${12}><div class="shelf">${Object.keys(PATH).map(name => html`<span class="row sm muted"><${Icon} name=${name} />${name}</span>`)}</div><//>
</div></main>`
