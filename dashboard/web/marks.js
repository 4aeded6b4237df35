// What people did, for the charts: changes of the rule book, at the time they were made.
import { useAsk } from './api.js'
import { open } from './store.js'
import { plural, sentence } from './say.js'

const wordOf = r => {
  const e = (r.effects ?? []).filter(e => e.kind === 'rule' && e.change !== 'same')
  return e.length === 1 ? `${sentence(e[0].id)} ${e[0].to || e[0].change}` : e.length ? plural(e.length, 'rule') + ' changed' : `Rules, revision ${r.revision}`
}

/** [{at, word}]. Where there are no rules nothing is asked for. */
export function useMarks() {
  const rules = useAsk(open.value ? '/v1/status' : null, { every: 60_000 }).data?.rules
  const book = useAsk(rules?.revision > 0 ? '/v1/rulebook/revisions' : null, { version: String(rules?.revision) })
  return (book.data?.revisions ?? []).filter(r => r.at).map(r => ({ at: Date.parse(r.at), word: wordOf(r) }))
}
