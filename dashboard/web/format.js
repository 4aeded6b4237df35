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

// Times. The zone is the person's choice: UTC, as windows are cut, or that of the browser.
let zone = 'UTC'
const dates = new Map()
export const isLocal = () => zone !== 'UTC'
export function useLocal(on) { zone = on ? undefined : 'UTC'; dates.clear() }
function date(t, options) {
  const key = JSON.stringify(options)
  let f = dates.get(key)
  if (!f) dates.set(key, f = new Intl.DateTimeFormat(locale, { timeZone: zone, hourCycle: 'h23', ...options }))
  return f.format(t)
}
/** How the zone is called: UTC, GMT+2, CEST. */
export const zoneWord = () => isLocal() ? new Intl.DateTimeFormat(locale, { timeZoneName: 'short' }).formatToParts(Date.now()).find(p => p.type === 'timeZoneName').value : 'UTC'
/** What is added to a time so that the zone's days begin at multiples of a day. */
export const offset = t => isLocal() ? -new Date(t).getTimezoneOffset() * 60e3 : 0

export const clock = t => date(t, { hour: '2-digit', minute: '2-digit' })
export const day = (t, year = false) => date(t, { day: 'numeric', month: 'short', ...(year && { year: 'numeric' }) })
const yearOf = t => date(t, { year: 'numeric' })
const older = t => yearOf(t) !== yearOf(Date.now())
export const stamp = (t, stepMs) => stepMs >= 86400e3 ? day(t, true) : day(t, older(t)) + ' ' + clock(t)

/** 13:32–14:32, with the day where it is not today, and with both where the range leaves one. */
export function span(from, to, stepMs) {
  const old = Math.abs(Date.now() - to) > 180 * 86400e3
  if (stepMs >= 86400e3) return `${day(from, older(from) || old)} – ${day(to - 1, true)}`
  if (day(from, true) !== day(to, true)) return `${day(from, old)} ${clock(from)} – ${day(to, old)} ${clock(to)}`
  return (day(from, true) === day(Date.now(), true) ? '' : day(from, old) + ' ') + `${clock(from)}–${clock(to)}`
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

export const hms = t => date(t, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
/** 11 Mar 09:12:04 */
export const moment = t => day(t, older(t)) + ' ' + hms(t)
export const weekday = t => date(t, { weekday: 'short' }) + ' ' + day(t, older(t))
/** The same without fractions: 8 s */
export const brief = s => age(s).replace(/^(\d)[.,]\d s$/, '$1 s')
/** How long ago: 8 s, 2 min, 3 h */
export const ago = (t, now) => brief(Math.max(0, now - Date.parse(t)) / 1000)
