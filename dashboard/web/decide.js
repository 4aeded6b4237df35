// Taking decisions on alerts: written once, taken in order, refused where somebody was faster, and undone.
import { ask } from './api.js'

const key = () => [...crypto.getRandomValues(new Uint8Array(12))].map(b => b.toString(16).padStart(2, '0')).join('')

const REACH = { open: null, acknowledged: 'acknowledge', confirmed: 'confirm', false_positive: 'false_positive', snoozed: 'snooze', closed: 'close' }

/** The statuses in which an action may be taken, as the server has them. */
const ALLOWED = {
  acknowledge: ['open', 'snoozed'], confirm: ['open', 'acknowledged', 'snoozed', 'false_positive'], false_positive: ['open', 'acknowledged', 'snoozed', 'confirmed'],
  snooze: ['open', 'acknowledged', 'snoozed'], close: ['open', 'acknowledged', 'snoozed', 'confirmed'], reopen: ['acknowledged', 'confirmed', 'false_positive', 'snoozed', 'closed'],
  assign: ['open', 'acknowledged', 'confirmed', 'false_positive', 'snoozed', 'closed'],
}
export const may = (action, status) => action === 'comment' || !!ALLOWED[action]?.includes(status)

const people = a => a.history?.filter(c => c.author).length ?? -1
/** More hits are no reason to ask a person again; another person's decision is. */
const untouched = (seen, now) => seen.status === now.status && (seen.assignee ?? '') === (now.assignee ?? '') && (!seen.history || people(seen) === people(now))

/**
 * Decides on one alert as it was seen: {taken, alert}. Throws an Error; its conflict is the alert as it is now where somebody decided first.
 */
export async function decide(seen, decision, again = true, idempotency = key()) {
  try {
    const { body } = await ask(`/v1/alerts/${seen.id}/decisions`, { method: 'POST', body: decision, headers: { 'If-Match': `"${seen.revision}"`, 'Idempotency-Key': idempotency } })
    return body
  } catch (e) {
    if (e.status !== 412 && e.status !== 409) throw e
    const now = (await ask('/v1/alerts/' + seen.id)).body.alert
    if (e.status === 412 && again && untouched(seen, now)) return decide({ ...now, id: seen.id }, decision, false)
    throw Object.assign(e, { conflict: now })
  }
}

/** Decides on many: a list of {id, status, detail, alert}, in their order. Alerts that only had more hits meanwhile are decided on again. */
export async function decideAll(seen, decision) {
  const post = list => ask('/v1/alerts/decisions', { method: 'POST', body: { ...decision, alerts: list.map(a => ({ id: a.id, revision: a.revision })) }, headers: { 'Idempotency-Key': key() } }).then(r => r.body.results)
  const results = []
  for (let i = 0; i < seen.length; i += 200) results.push(...await post(seen.slice(i, i + 200)))
  const again = results.flatMap((r, i) => r.status === 412 && r.alert && untouched({ ...seen[i], history: null }, r.alert) ? [i] : [])
  if (again.length) for (const [n, r] of (await post(again.map(i => results[i].alert))).entries()) results[again[n]] = r
  return results
}

/** Brings alerts back to what they were before a decision: a list of the Errors of those that could not be. */
export async function undo(list, author) {
  const failed = []
  for (const { before, after } of list) {
    try {
      let now = after
      const step = async d => { now = (await decide(now, { author, reason: 'undone', ...d })).alert }
      if ((before.assignee ?? '') !== (now.assignee ?? '')) await step({ action: 'assign', assignee: before.assignee ?? '' })
      if (before.status === now.status) continue
      if (may('reopen', now.status)) await step({ action: 'reopen' })
      if (REACH[before.status] && before.status !== now.status) await step({ action: REACH[before.status], ...(before.status === 'snoozed' && { until: before.snoozed_until }) })
    } catch (e) { failed.push(e) }
  }
  return failed
}
