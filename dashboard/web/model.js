// From rows to what the page shows. Pure: no clock, no DOM, no server.

export const RANGES = [
  { name: '1h', label: 'Last 1 h', window: '1m', ms: 3600e3 },
  { name: '6h', label: 'Last 6 h', window: '1m', ms: 6 * 3600e3 },
  { name: '24h', label: 'Last 24 h', window: '1h', ms: 24 * 3600e3 },
  { name: '7d', label: 'Last 7 days', window: '1h', ms: 7 * 86400e3 },
  { name: '30d', label: 'Last 30 days', window: '1d', ms: 30 * 86400e3 },
  { name: '90d', label: 'Last 90 days', window: '1d', ms: 90 * 86400e3 },
  { name: '365d', label: 'Last 365 days', window: '1d', ms: 365 * 86400e3 },
  { name: '1095d', label: 'Last 3 years', window: '1d', ms: 1095 * 86400e3 },
]
export const STEP = { '1m': 60e3, '1h': 3600e3, '1d': 86400e3 }
export const STEP_WORD = { '1m': 'minute', '1h': 'hour', '1d': 'day' }
export const STEP_NAME = { '1m': '1 min windows', '1h': '1 h windows', '1d': '1 day windows' }

export const rangeOf = name => RANGES.find(r => r.name === name) ?? RANGES[0]

const KEPT = { '1m': 48 * 3600e3, '1h': 90 * 86400e3, '1d': 1095 * 86400e3 } // as the default metrics are; a shop that keeps less says so in an error
const MAX_BARS = 400

/** The window in which a span of time is best seen: the finest that is kept that long and does not draw more bars than can be told apart. */
export const windowFor = (from, to, watermark) => Object.keys(STEP).find(w => (to - from) / STEP[w] <= MAX_BARS && watermark - from <= KEPT[w]) ?? '1d'

/** A time as the address writes it: to the minute, in UTC. */
export const minuteOf = t => new Date(t).toISOString().slice(0, 16) + 'Z'

/**
 * The range that an address asks for: from and to, on windows, or one of RANGES back from the watermark. Where from and to are there, base
 * is the range to go back to.
 */
export function rangeIn(params, usual, watermark) {
  const base = rangeOf(params.get('range') ?? usual), a = Date.parse(params.get('from') ?? ''), b = Date.parse(params.get('to') ?? '')
  if (!(a < b)) return base
  const window = windowFor(a, b, watermark), step = STEP[window], from = Math.floor(a / step) * step, to = Math.ceil(b / step) * step
  return { name: minuteOf(from) + '/' + minuteOf(to), window, ms: to - from, from, to, base }
}

/** The range before is shown too, except where it would reach past what is kept. */
export const hasPrevious = (range, watermark = Date.now()) => range.from ? watermark - range.from + range.ms <= KEPT[range.window] : range.ms <= 365 * 86400e3

/** As a relative time of the query API. */
export const back = ms => `now-${Math.round(ms / 1000)}s`

/** The parameters from and to of a query over the range; with n = 1 over the period before it, with both = true over the two. */
export function bounds(range, n = 0, both = false) {
  if (!range.from) return { from: back((both ? 2 : n + 1) * range.ms), ...(n && { to: back(n * range.ms) }) }
  return { from: new Date(range.from - (both ? 1 : n) * range.ms).toISOString(), to: new Date(range.to - n * range.ms).toISOString() }
}

/** label:value conditions of an address, as [label, value]; a comma within a value is %2C. */
export const conditions = text => (text ?? '').split(',').filter(c => c.indexOf(':') > 0).slice(0, 16).map(c => { const i = c.indexOf(':'); return [c.slice(0, i), c.slice(i + 1).replaceAll('%2C', ',').replaceAll('%25', '%')] })
export const written = list => list.map(([label, value]) => label + ':' + value.replaceAll('%', '%25').replaceAll(',', '%2C')).join(',')

/**
 * The windows to show: `count` of them, up to the one that the watermark (or a row somewhat ahead of it) falls into. Ranges count
 * back from the data, not from the clock, so that a replay of old data is seen.
 */
export function timeline(range, watermark, rowSets) {
  const step = STEP[range.window], count = Math.round(range.ms / step)
  let last = range.to - step
  if (!range.to) {
    const limit = watermark + 10 * 60e3 // a clock that runs ahead does not empty the page
    let head = watermark
    for (const rows of rowSets) for (const r of rows.values()) {
      const t = Date.parse(r.start)
      if (t > head && t <= limit) head = t
    }
    last = Math.floor(head / step) * step
  }
  const first = last - (count - 1) * step
  const closed = Math.max(0, Math.min(count, Math.floor((watermark - first) / step))) // how many have ended by the watermark
  return { step, count, first, last, closed, prevFirst: first - range.ms, watermark }
}

/** value(row) summed by window: {now, before} as arrays over the timeline; null where the timeline has no window before. */
export function series(rows, line, value, keep = () => true) {
  const now = new Array(line.count).fill(0), before = new Array(line.count).fill(0)
  let any = false, anyBefore = false
  for (const r of rows.values()) {
    if (!keep(r)) continue
    const t = Date.parse(r.start)
    const i = Math.round((t - line.first) / line.step)
    if (i >= 0 && i < line.count) { now[i] += value(r); any = true }
    const j = Math.round((t - line.prevFirst) / line.step)
    if (j >= 0 && j < line.count) { before[j] += value(r); anyBefore = true }
  }
  return { now, before, any, anyBefore }
}

export const count = r => r.count
export const amount = r => Number(r.value)
export const sum = (list, from = 0, to = list.length) => { let s = 0; for (let i = from; i < to; i++) s += list[i]; return s }

/** Present against past over the windows that have closed, so that an open one does not look like a fall. */
export function change(s, line) {
  if (!s.anyBefore || line.closed === 0) return null
  const a = sum(s.now, 0, line.closed), b = sum(s.before, 0, line.closed)
  return b === 0 ? null : (a - b) / b
}

/** The mean of the last few closed windows: what is going on now, without the jumps of a single window. */
export function recent(s, line, n = 5) {
  const to = line.closed || line.count
  const from = Math.max(0, to - n)
  const mean = to > from ? sum(s.now, from, to) / (to - from) : null
  return mean || !line.closed ? mean : sum(s.now, line.closed) // everything is in the open window: a shop's first one
}
export function recentBefore(s, line, n = 5) {
  if (!s.anyBefore) return null
  const to = line.closed || line.count, from = Math.max(0, to - n)
  return to > from ? sum(s.before, from, to) / (to - from) : null
}

/** part / whole, window by window and in all; null where there is nothing below. */
export function share(part, whole, line) {
  const ratio = (a, b) => b > 0 ? a / b : null
  return {
    now: ratio(sum(part.now), sum(whole.now)),
    before: part.anyBefore || whole.anyBefore ? ratio(sum(part.before, 0, line.closed), sum(whole.before, 0, line.closed)) : null,
    list: part.now.map((v, i) => ratio(v, whole.now[i])),
  }
}
export const plus = (a, b) => ({ now: a.now.map((v, i) => v + b.now[i]), before: a.before.map((v, i) => v + b.before[i]), any: a.any || b.any, anyBefore: a.anyBefore || b.anyBefore })

/** Thins a list to at most n means, for sparklines. */
export function thin(list, n = 48) {
  if (list.length <= n) return list
  const out = [], size = list.length / n
  for (let i = 0; i < n; i++) {
    const part = list.slice(Math.floor(i * size), Math.floor((i + 1) * size)).filter(v => v != null)
    out.push(part.length ? sum(part) / part.length : null)
  }
  return out
}

/** An axis end that is a round number, so that the axis grows in steps. */
export function nice(max) {
  if (!(max > 0)) return 1
  const p = 10 ** Math.floor(Math.log10(max)), f = max / p
  return (f <= 1 ? 1 : f <= 1.5 ? 1.5 : f <= 2 ? 2 : f <= 3 ? 3 : f <= 4 ? 4 : f <= 5 ? 5 : f <= 6 ? 6 : f <= 8 ? 8 : 10) * p
}

export const STAGES = [['created', 'Created'], ['paid', 'Paid'], ['dispatched', 'Dispatched'], ['delivered', 'Delivered']]

export function funnel(rows, before) {
  const total = rs => { const m = {}; for (const r of rs?.values() ?? []) m[r.labels.stage] = (m[r.labels.stage] ?? 0) + r.count; return m }
  const a = total(rows), b = total(before)
  return STAGES.map(([stage, label], i) => {
    const of = i ? a[STAGES[i - 1][0]] : 0, was = i ? b[STAGES[i - 1][0]] : 0
    const step = of ? (a[stage] ?? 0) / of : null, stepBefore = was ? (b[stage] ?? 0) / was : null
    return { stage, label, count: a[stage] ?? 0, share: a.created ? (a[stage] ?? 0) / a.created : null, shareBefore: b.created ? (b[stage] ?? 0) / b.created : null, step, moved: step != null && stepBefore != null ? step - stepBefore : null }
  })
}

/** What sells, the most first: [{name, value, change}]. */
export function top(rows, before, label, keep) {
  const total = rs => { const m = new Map(); for (const r of rs?.values() ?? []) if (keep(r)) m.set(r.labels[label], (m.get(r.labels[label]) ?? 0) + Number(r.value)); return m }
  const a = total(rows), b = total(before)
  return [...a].map(([name, value]) => ({ name, value, change: b.get(name) ? (value - b.get(name)) / b.get(name) : null }))
    .filter(e => e.value > 0).sort((x, y) => y.value - x.value || (x.name < y.name ? -1 : 1))
}

/** Rows of hours as a grid: {names, cells[name][hour], max}, the names by what they sum up to. */
export function grid(rows, label, keep, first, hours, n = 7) {
  const by = new Map()
  for (const r of rows.values()) {
    const i = Math.round((Date.parse(r.start) - first) / 3600e3)
    if (i < 0 || i >= hours || !keep(r)) continue
    const name = r.labels[label]
    if (!by.has(name)) by.set(name, new Array(hours).fill(0))
    by.get(name)[i] += Number(r.value)
  }
  const names = [...by.keys()].sort((a, b) => sum(by.get(b)) - sum(by.get(a)) || (a < b ? -1 : 1)).slice(0, n)
  return { names, cells: names.map(name => by.get(name)), max: Math.max(0, ...names.flatMap(name => by.get(name))) }
}
