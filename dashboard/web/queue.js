// The order of a list that people work in. Pure: what is shown stands still while somebody reads, and the rest is counted.

/** Sums of the amounts at risk by currency, the most frequent currency first: [{amount, currency, exponent}]. */
export function atRisk(rows) {
  const by = new Map()
  for (const { at_risk: m } of rows) {
    if (!m) continue
    const s = by.get(m.currency) ?? { n: 0, amount: 0n, currency: m.currency, exponent: m.exponent }
    s.n++
    s.amount += BigInt(m.amount)
    by.set(m.currency, s)
  }
  return [...by.values()].sort((a, b) => b.n - a.n).map(s => ({ ...s, amount: String(s.amount) }))
}

const risk = a => Number(a.at_risk?.amount ?? 0) / 100
const WEIGHTS = {
  priority: a => Math.max(a.score, a.case_score) * Math.max(1, risk(a)),
  newest: a => Date.parse(a.started), recent: a => Date.parse(a.last), risk,
}

/** The orders of GET /v1/alerts: greatest first, equal ones by id. */
export const comparing = sort => {
  const weight = WEIGHTS[sort] ?? WEIGHTS.priority
  return (a, b) => weight(b) - weight(a) || (a.id < b.id ? -1 : 1)
}

/**
 * What to show next of rows (id → alert): {ids, rows, waiting}. While hold is set the order stays: rows change in their places, those that
 * left the answer stay as they were, marked gone, and those that came are counted in waiting.
 */
export function arrange(view, rows, sort, hold) {
  if (!hold || !view.ids.length) return { ids: [...rows.values()].sort(comparing(sort)).map(r => r.id), rows: new Map(rows), waiting: 0 }
  const shown = new Map(view.ids.map(id => [id, rows.get(id) ?? { ...view.rows.get(id), gone: true }]))
  return { ids: view.ids, rows: shown, waiting: [...rows.keys()].filter(id => !shown.has(id)).length }
}

/** Takes alerts away that a decision of one's own has finished. */
export const without = (view, ids) => ({ ...view, ids: view.ids.filter(id => !ids.includes(id)) })
