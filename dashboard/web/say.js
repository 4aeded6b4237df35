// How alerts, rules and events are told in words. Pure.
import { moneyOf, number } from './format.js'

export const SEVERITY = { critical: ['crit', 'Critical'], high: ['high', 'High'], medium: ['med', 'Medium'], low: ['low', 'Low'] }
export const STATUS = {
  open: ['', 'Open'], acknowledged: ['info', 'Acknowledged', 'eye'], confirmed: ['bad', 'Confirmed fraud', 'flag'], false_positive: ['good', 'False positive', 'check'],
  snoozed: ['warn', 'Snoozed', 'clock'], closed: ['', 'Closed', 'check'], withdrawn: ['', 'Withdrawn', 'undo'],
}
export const RULE_STATE = { draft: ['', 'Draft', 'draft'], shadow: ['info', 'Shadow', 'eye'], live: ['good', 'Live', 'bolt'], paused: ['warn', 'Paused', 'pause'], retired: ['', 'Retired', 'x'] }
const KINDS = { ip: 'IP address', email: 'E-mail', order: 'Order' }
export const kindWord = kind => KINDS[kind] ?? sentence(kind)
export const kindNoun = kind => kind === 'ip' ? KINDS.ip : kindWord(kind).toLowerCase()
const KIND_ICONS = { customer: 'user', card: 'card', ip: 'globe', device: 'phone', email: 'at', address: 'pin', order: 'box', product: 'box', seller: 'user' }
export const kindIcon = kind => KIND_ICONS[kind] ?? 'dot'

/** kind:id in two. */
export const entityOf = key => { const i = key.indexOf(':'); return { kind: key.slice(0, i), id: key.slice(i + 1) } }
export const entityPath = key => { const { kind, id } = entityOf(key); return kind === 'order' ? ['orders', id] : kind === 'customer' ? ['customers', id] : ['entities', kind, id] }
/** An id that is too long keeps its end, which tells ids apart. */
export const short = (id, n = 14) => id.length > n ? '…' + id.slice(1 - n) : id
export const sentence = s => { const t = (s ?? '').replaceAll('_', ' '); return t.slice(0, 1).toUpperCase() + t.slice(1) }
export const plural = (n, one, many = one + 's') => `${number(n)} ${n === 1 ? one : many}`

const EVENTS = {
  'order.created': 'Order created', 'order.updated': 'Order changed', 'order.cancelled': 'Order cancelled', 'payment.attempted': 'Payment attempted',
  'payment.authorized': 'Payment authorised', 'payment.captured': 'Payment captured', 'payment.failed': 'Payment failed', 'payment.refunded': 'Refunded',
  'payment.disputed': 'Payment disputed', 'shipment.created': 'Shipment created', 'shipment.dispatched': 'Dispatched', 'shipment.in_transit': 'In transit',
  'shipment.delivered': 'Delivered', 'shipment.failed': 'Delivery failed', 'shipment.returned': 'Returned',
}
export const eventWord = type => EVENTS[type] ?? type

const COUNTED = {
  'order.created': 'orders', 'order.cancelled': 'cancelled orders', 'payment.attempted': 'payment attempts', 'payment.authorized': 'authorised payments',
  'payment.captured': 'captured payments', 'payment.failed': 'failed payments', 'payment.refunded': 'refunds', 'payment.disputed': 'disputes', 'shipment.returned': 'returns',
}
const VALUES = {
  'card.fingerprint': 'cards', card: 'cards', 'card.country': 'card countries', 'card.bin': 'card banks', ip: 'IP addresses', device: 'devices', customer: 'customers',
  email: 'e-mail addresses', address: 'addresses', product: 'products', seller: 'sellers', order: 'orders', coupon: 'coupons',
}
const FIELDS = { customer_age: 'account age', total: 'order total', amount: 'amount', ip: 'IP address', 'card.country': 'card country', 'card.funding': 'card type' }
const one = words => words.replace(/(ies|sses|s)\b/, e => ({ ies: 'y', sses: 'ss', s: '' }[e]))
const list = (table, names) => names.split(', ').map(n => table[n] ?? n.replaceAll('_', ' ')).join(' or ')
const spanWord = s => s.replace(/(\d+)(ms|[smhdw])/g, (_, n, u) => ` ${n} ${u === 'm' ? 'min' : u}`).trim()

/** A reading such as distinct(card.fingerprint of payment.attempted by ip, 10m), in its parts; null for what is none. */
export function reading(text) {
  const whole = /^(\w+)\((.*?)(?:, ([\d.]+))?, (all|[\dmsdhw]+)(, previous)?\)$/.exec(text ?? '')
  const inner = whole && /^(?:(.+?) of )?([\w.]+(?:, [\w.]+)*) by (\w+)(?: where (.+))?$/.exec(whole[2])
  return inner && { agg: whole[1], quantile: whole[3], window: whole[4] === 'all' ? '' : spanWord(whole[4]), previous: !!whole[5], value: inner[1], types: inner[2], kind: inner[3], where: inner[4] }
}

/** What a reading reads: 'cards in 10 min'. */
export function readingWords(r) {
  const over = (r.window ? ' in ' + r.window : '') + (r.previous ? ', before this event' : '')
  const things = list(COUNTED, r.types), value = r.value && (VALUES[r.value] ?? r.value.replaceAll('_', ' '))
  switch (r.agg) {
    case 'count': return things + over
    case 'distinct': return (VALUES[r.value] ?? 'different ' + value) + over
    case 'sum': return `${value === 'total' || value === 'amount' ? '' : value + ' '}of ${things}${over}`
    case 'since_first': case 'since_last': return `since the ${r.agg.slice(6)} of ${things}${over}`
    case 'percentile': return `${Number(r.quantile) === 0.5 ? 'median' : `p${r.quantile * 100}`} of ${value}${over}`
    case 'mean': case 'stddev': return `${r.agg === 'mean' ? 'mean' : 'standard deviation'} of ${value ?? things}${over}`
    default: return `${r.agg === 'max' ? 'highest' : r.agg === 'min' ? 'lowest' : r.agg === 'last' ? 'last' : r.agg} ${value ?? things}${over}`
  }
}

/** A value as rules tell it ('612.50 EUR', '3h20m', '7', 'DE') for a person. */
export function value(text) {
  const money = /^(-?\d+(?:\.\d+)?) ([A-Z]{3})$/.exec(text ?? '')
  if (money) return moneyOf(money[1], money[2])
  if (/^-?\d+(\.\d+)?$/.test(text)) return number(Number(text), 6)
  return amountOf(text) != null ? spanWord(text) : text
}

/** The number behind such a value: money in major units, a duration in seconds; null where there is none. */
export function amountOf(text) {
  const plain = /^(-?\d+(?:\.\d+)?)(?: [A-Z]{3})?$/.exec(text ?? '')
  if (plain) return Number(plain[1])
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/.test(text ?? '')) return null
  let s = 0
  for (const [, n, u] of text.matchAll(/([\d.]+)(ms|[smhdw])/g)) s += n * { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800 }[u]
  return s
}

const LIMITS = { '>': 'more than', '>=': 'at least', '<': 'below', '<=': 'at most', '==': 'is', '!=': 'not', in: 'in', 'not in': 'not in' }

/**
 * One comparison of a rule: {what: '6 cards in 10 min', limit: 'more than 3', times: 2, ratio}. times is how often the limit fits into what
 * was seen, null where that says nothing; ratio the same for comparisons from below.
 */
export function predicate(p) {
  const r = reading(p.feature), seen = value(p.observed), a = amountOf(p.observed), b = amountOf(p.threshold)
  const [left, right] = p.operator ? p.text.split(` ${p.operator} `) : [p.text]
  let what
  const known = /^known\((.+)\)$/.exec(p.text)
  if (!r && known) what = `${sentence(FIELDS[known[1]] ?? known[1])} is known`
  else if (!r) what = p.operator ? `${sentence(FIELDS[left] ?? left)} ${seen}` : sentence(p.text) + (p.observed && p.observed !== 'true' ? ': ' + seen : '')
  else if (r.agg === 'count' || r.agg === 'distinct') { const words = readingWords(r); what = `${seen} ${p.observed === '1' ? one(words) : words}` }
  else if (r.agg === 'sum' || r.agg.startsWith('since')) what = `${seen} ${readingWords(r)}`
  else what = `${sentence(readingWords(r))}: ${seen}`
  const limit = p.operator ? `${LIMITS[p.operator] ?? p.operator} ${value(p.threshold)}` : ''
  const ratio = a != null && b > 0 && /^[<>]=?$/.test(p.operator) ? a / b : null
  return { what, limit, ratio, over: p.operator?.startsWith('>'), of: right && /^[a-z_.]+$/.test(right) && right !== p.threshold ? FIELDS[right] ?? right.replaceAll('_', ' ') : '' }
}

/** What a change in an alert's history was. */
export const changeWord = what => ({ opened: 'Alert opened', ended: 'Episode ended', merged: 'Joined with another alert', withdrawn: 'Withdrawn: its hits hold no longer', acknowledge: 'Acknowledged', confirm: 'Confirmed as fraud',
  false_positive: 'Marked a false positive', snooze: 'Snoozed', close: 'Closed', reopen: 'Reopened', assign: 'Assigned', comment: 'Comment' }[what] ?? sentence(what))
