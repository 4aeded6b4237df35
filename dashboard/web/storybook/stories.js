// What the storybook shows: every page in every state, pages with something opened on them, and the pieces that pages are made of.

const same = o => o
const LONG = { title: 'Many cards of unusually many banks were declined from one address within a very short time, ', reason: 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft and others say that ', assignee: 'Wolfeschlegelsteinhausenbergerdorff-', author: 'Wolfeschlegelsteinhausenbergerdorff-', description: 'A description that does not end where one would expect it to, because somebody had much to say about it, ', category: 'Outdoor, garden, do-it-yourself and everything for the terrace: ', region: 'north-rhine-westphalia-and-the-low-countries-', product_id: 'sku-00000000000000000000000000000000-', detail: 'A detail of which there is more than fits, and then some more of it, ' }
const PEOPLE = new Set(['assignee', 'author'])

/** Every value of an answer by f(key, value); what f leaves is gone into. */
function walk(value, f, key = '') {
  const now = f(key, value)
  if (now !== value || !now || typeof now !== 'object') return now
  return Array.isArray(now) ? now.map(v => walk(v, f, key)) : Object.fromEntries(Object.entries(now).map(([k, v]) => [k, walk(v, f, k)]))
}
const long = o => walk(o, (k, v) => typeof v !== 'string' || !LONG[k] || (PEOPLE.has(k) && !v) ? v : LONG[k] + v)

const BIG = new Set(['count', 'hits', 'total', 'lag_records', 'events_total', 'alerts', 'entries', 'lag', 'records'])
const huge = o => walk(o, (k, v) => typeof v === 'number' && BIG.has(k) ? v * 1e6 + 987_654 : (k === 'amount' || k === 'value') && /^-?[1-9]\d*$/.test(v) ? v + '00000007' : v)

const KEPT = new Set(['windows', 'labels', 'currencies', 'metrics', 'params', 'partitions'])
const none = o => walk(o, (k, v) => k === 'facets' ? walk(v, (_, n) => typeof n === 'number' ? 0 : n) : Array.isArray(v) && !KEPT.has(k) && v.length ? [] : k === 'total' && typeof v === 'number' ? 0 : v)
const NOT_FOUND = { type: 'about:blank', title: 'Not Found', status: 404, detail: 'nothing is known of it' }
const ONE = /^\/v1\/(orders|customers|entities|alerts|rules)\/[^/]/ // a thing, and no list: where there is nothing, it is not found

function empty(body, path) {
  if (path === '/v1/metrics') return { ...body, overview: { ...body.overview, currency: '', currencies: [] } }
  if (path === '/v1/topology') return body
  return ONE.test(path) ? [NOT_FOUND, 404] : none(body)
}

const click = word => page => page.button(word).click()
/** name → [what it shows, how the server behaves, what is done on the page when it has drawn]. Of the words, those of the chip. */
export const STATES = {
  live: { chip: /^Live/ },
  loading: { chip: /^(Live|Connecting)/, server: { rest: 'never', frames: 'never' } },
  empty: { chip: /^Live/, server: { body: empty, rows: () => [] } },
  quiet: { chip: /^Live· quiet for 12 min/, server: { meta: m => ({ ...m, as_of: new Date(Date.now() - 12 * 60e3).toISOString() }) } },
  stale: { chip: /^Stale/, server: { meta: m => ({ ...m, as_of: new Date(Date.now() - 14_000).toISOString(), caught_up_at: new Date(Date.now() - 14_000).toISOString(), lag_records: 4211 }) } },
  recovering: { chip: /^Recovering/, server: { meta: m => ({ ...m, lag_records: 98_233, partitions: { present: 9, expected: 12 } }) } },
  reconnecting: { chip: /^Reconnecting/, then: page => page.away(1006) },
  offline: { chip: /^Offline/, then: page => page.away(4401) },
  paused: { chip: /^/, then: page => page.pause(12) },
  error: { chip: /^Live/, server: { rest: 'error', frames: 'error' } },
  long: { chip: /^Live/, server: { body: long, row: long } },
  huge: { chip: /^Live/, server: { body: huge, row: huge } },
}

const decided = (path, body, canned) => {
  const seen = canned.rest[path.replace('/decisions', '')]?.alert
  return [{ taken: true, alert: { ...seen, status: 'acknowledged', revision: seen.revision + 1, history: [...seen.history, { at: seen.last, what: body.action, author: body.author }] } }]
}
const refused = () => [{ type: 'about:blank', title: 'Conflict', status: 409, detail: 'the alert has changed: look at it again' }, 409]
const invalid = () => [{ valid: false, effects: [], problems: [{ line: 3, column: 9, rule: 'velocity', path: 'when', message: 'unknown name cardz: did you mean cards?' }] }]
/** Pages on which something was done: page → name → {server, then}. */
const OPENED = {
  fraud: {
    keys: { then: page => page.key('?') }, filters: { then: page => page.key('/') }, selected: { then: page => page.key('x') },
    who: { author: '', then: page => page.key('a') }, undo: { server: { post: decided }, then: page => page.key('a') }, conflict: { server: { post: refused }, then: page => page.key('a') },
  },
  order: { raw: { then: click('Raw JSON') } },
  rule: { invalid: { server: { post: invalid }, then: page => page.type('textarea', '\nwhen: cardz > 2\n') } },
  overview: { values: { then: page => page.focus('.bars-t, [role=slider], .chart') } },
}

const SERVER = { body: same, row: same, meta: same }

/** All stories: {name: 'page/state', path, server, then, chip, author}. */
export function stories(pages) {
  return pages.flatMap(({ name, path }) => [
    ...Object.entries(STATES).map(([state, s]) => ({ name: `${name}/${state}`, path, author: 'ana', ...s, server: { ...SERVER, ...s.server } })),
    ...Object.entries(OPENED[name] ?? {}).map(([state, s]) => ({ name: `${name}/${state}`, path, author: 'ana', chip: STATES.live.chip, ...s, server: { ...SERVER, ...s.server } })),
  ])
}
