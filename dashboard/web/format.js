// How numbers, money, durations and times are written. Intl does the languages; a value and its unit come apart, so that the
// unit can be small.

const locale = globalThis.navigator?.language ?? 'en'
const cache = new Map()
function fmt(options) {
  const key = JSON.stringify(options)
  let f = cache.get(key)
  if (!f) cache.set(key, f = new Intl.NumberFormat(locale, options))
  return f
}

export const number = (v, digits = 0) => v == null ? '–' : fmt({ maximumFractionDigits: digits }).format(v)

/** 1,284 → {text:'1,284'}; 1,680,000 → {text:'1.68', unit:'M'} */
export function short(v) {
  if (v == null) return { text: '–', unit: '' }
  if (Math.abs(v) < 100_000) return { text: number(v), unit: '' }
  return split(fmt({ notation: 'compact', maximumSignificantDigits: 3 }).formatToParts(v))
}

function split(parts) {
  const unit = parts.filter(p => p.type === 'compact').map(p => p.value).join('')
  return { text: parts.filter(p => p.type !== 'compact').map(p => p.value).join('').trim(), unit }
}

/** Minor units (a BigInt, a number or a decimal string) in major units. Exact up to 2^53 minor units, which drawing can live with. */
export const major = (minor, exponent = 2) => Number(minor) / 10 ** exponent

export function money(minor, currency, exponent = 2) {
  if (minor == null || !currency) return { text: '–', unit: '' }
  const v = major(minor, exponent)
  const big = Math.abs(v) >= 10_000
  try {
    return split(fmt({ style: 'currency', currency, currencyDisplay: 'narrowSymbol', ...(big ? { notation: 'compact', maximumSignificantDigits: 3 } : { maximumFractionDigits: Math.abs(v) >= 1000 ? 0 : exponent }) }).formatToParts(v))
  } catch { // not a currency that Intl knows
    return { text: number(v, exponent) + ' ' + currency, unit: '' }
  }
}

/** As an axis writes it: round, without cents where there are none to see. */
export function moneyAxis(minor, currency, exponent = 2, top = 0) {
  if (!currency) return ''
  const v = major(minor, exponent), high = major(top, exponent)
  try {
    return fmt({ style: 'currency', currency, currencyDisplay: 'narrowSymbol', ...(high >= 10_000 ? { notation: 'compact', maximumSignificantDigits: 3 } : { minimumFractionDigits: 0, maximumFractionDigits: high < 10 ? exponent : 0 }) }).format(v)
  } catch { return number(v) }
}

export const moneyText = (...a) => { const m = money(...a); return m.text + m.unit }

export const percent = (v, digits = 1) => v == null || !isFinite(v) ? '–' : fmt({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(v * 100)

/** Seconds as the two largest units: [['5','h'],['12','m']] */
export function duration(s) {
  if (s == null || !isFinite(s)) return [['–', '']]
  if (s < 10) return [[number(s, 1), 's']]
  const units = [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]]
  const i = units.findIndex(([, n]) => s >= n)
  const [u, n] = units[i]
  const first = Math.floor(s / n), out = [[number(first), u]]
  if (i < 3 && first < 10 * (i === 0 ? 10 : 100)) {
    const [u2, n2] = units[i + 1]
    const rest = Math.floor((s - first * n) / n2)
    if (rest) out.push([String(rest), u2])
  }
  return out
}
export const durationText = s => duration(s).map(p => p[0] + ' ' + p[1]).join(' ').trim()

const p2 = n => String(n).padStart(2, '0')
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
/** All times are UTC: windows are. */
export const clock = t => { const d = new Date(t); return p2(d.getUTCHours()) + ':' + p2(d.getUTCMinutes()) }
export const day = (t, year = false) => { const d = new Date(t); return d.getUTCDate() + ' ' + MONTHS[d.getUTCMonth()] + (year ? ' ' + d.getUTCFullYear() : '') }
export const stamp = (t, stepMs) => stepMs >= 86400e3 ? day(t, true) : day(t, new Date().getUTCFullYear() !== new Date(t).getUTCFullYear()) + ' ' + clock(t)

/** 13:32–14:32 UTC, or with days where the range leaves one. */
export function span(from, to, stepMs) {
  const a = new Date(from), b = new Date(to), old = Math.abs(Date.now() - to) > 180 * 86400e3
  if (stepMs >= 86400e3) return `${day(from, a.getUTCFullYear() !== b.getUTCFullYear() || old)} – ${day(to, true)}`
  if (day(from, true) === day(to, true)) return `${day(from, old)} ${clock(from)}–${clock(to)} UTC`
  return `${day(from, old)} ${clock(from)} – ${day(to, old)} ${clock(to)} UTC`
}

/** A freshness in words: 0.4 s, 14 s, 3 min, 2 h. */
export function age(s) {
  if (s == null) return ''
  if (s < 10) return fmt({ minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(s) + ' s'
  if (s < 120) return Math.round(s) + ' s'
  if (s < 7200) return Math.round(s / 60) + ' min'
  if (s < 172800) return Math.round(s / 3600) + ' h'
  return Math.round(s / 86400) + ' d'
}

/** {amount, currency, exponent} exactly, to the last minor unit: €1,284.60. The currency is never left to be guessed. */
export function exact(m) {
  if (!m?.currency) return '–'
  const digits = m.amount.replace('-', '').padStart(m.exponent + 1, '0'), at = digits.length - m.exponent
  return moneyOf((m.amount.startsWith('-') ? '-' : '') + digits.slice(0, at) + (m.exponent ? '.' + digits.slice(at) : ''), m.currency, m.exponent)
}

/** A decimal text in a currency. */
export function moneyOf(decimal, currency, exponent = (decimal.split('.')[1] ?? '').length) {
  try {
    return fmt({ style: 'currency', currency, minimumFractionDigits: exponent, maximumFractionDigits: exponent }).format(decimal)
  } catch { return decimal + ' ' + currency }
}

export const hms = t => { const d = new Date(t); return clock(t) + ':' + p2(d.getUTCSeconds()) }
/** 11 Mar 09:12:04 */
export const moment = t => day(t, new Date(t).getUTCFullYear() !== new Date().getUTCFullYear()) + ' ' + hms(t)
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
export const weekday = t => WEEKDAYS[new Date(t).getUTCDay()] + ' ' + day(t, new Date(t).getUTCFullYear() !== new Date().getUTCFullYear())
/** How long ago, without fractions: 8 s, 2 min, 3 h */
export const ago = (t, now) => age(Math.max(0, now - Date.parse(t)) / 1000).replace(/^(\d)[.,]\d s$/, '$1 s')
