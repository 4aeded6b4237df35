// The rules: how each does, and a page for one with its definition, what checking it says, its state, its versions and its past.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon, Severity } from './icons.js'
import { Asked, Dialog, Panel, Pill, Spark, State, sentenceOf } from './parts.js'
import { Editor, asDocument, differences } from './editor.js'
import { Backtest } from './backtest.js'
import { ask, query, useAsk } from './api.js'
import { tell, useKeys, who } from './notice.js'
import { askBeforeLeaving, go, route, set, to } from './router.js'
import { present } from './store.js'
import * as f from './format.js'
import { RULE_STATE, STATUS, plural, sentence } from './say.js'

export function Rules() {
  const [, id] = route.value.path
  return id ? html`<${Rule} id=${id} key=${id} />` : html`<${List} />`
}

/** Alerts counted by rule: {rule: n}, null while not known. */
const useCounts = filter => useAsk('/v1/alerts?' + query({ limit: 1, shadow: 'include', ...filter }), { every: 10_000 }).data?.facets.rule ?? null

const HOURS = 24, NONE = new Array(HOURS).fill(0), sum = list => list.reduce((a, b) => a + b, 0)
/** The alerts of each rule by hour, oldest first: rule → counts; null while not known. */
function useHours() {
  const { data } = useAsk('/v1/alerts/hourly?' + query({ hours: HOURS, shadow: 'include' }), { every: 10_000 })
  return data && { of: rule => data.rules.find(r => r.rule === rule)?.counts ?? NONE, from: Date.parse(data.from) }
}

/** Alerts by hour as a line from zero, and in words when they were most. */
function Hours({ counts, from }) {
  const most = Math.max(...counts), at = from + counts.indexOf(most) * 3600e3
  if (!most) return html`<span class="muted sm">none</span>`
  const says = `at most ${plural(most, 'alert')} an hour, ${f.clock(at)} to ${f.clock(at + 3600e3)}`
  return html`<div title=${says}><${Spark} list=${counts} zero /><span class="sr">${says}</span></div>`
}

function List() {
  const rules = useAsk('/v1/rules', { every: 5000 }), field = useRef(null), q = route.value.params.get('q') ?? '', hours = useHours()
  const right = useCounts({ status: 'confirmed' }), wrong = useCounts({ status: 'false_positive' })
  const all = rules.data?.rules ?? [], shown = all.filter(r => (r.id + ' ' + r.title + ' ' + r.state + ' ' + r.typology).toLowerCase().includes(q.toLowerCase()))
  const states = Object.keys(RULE_STATE).map(s => [all.filter(r => r.state === s).length, s]).filter(([n]) => n)
  useKeys({ '/': () => field.current.focus() })
  return html`<main class="main" id="main" tabindex="-1"><div class="head"><h1>Rules</h1>
      <p>${states.map(([n, s]) => `${n} ${s}`).join(', ')}${rules.data?.revision ? `; revision ${rules.data.revision}` : ''}</p>
      <span class="sp"></span>
    <label class="field s"><${Icon} name="search" size="12" />
        <input ref=${field} type="search" aria-label="Find a rule" placeholder="Find" value=${q} onInput=${e => set({ q: e.target.value })} /></label>
        <a class="btn pri s" href="/rules/new"><${Icon} name="plus" size="12" />New rule</a></div>
    <${Asked} of=${rules} height=${300}>
    ${rules.data?.problem && html`<div class="strip bad panel" role="alert"><${Icon} name="warn" size="14" />
        <span>This server still evaluates an earlier revision: ${rules.data.problem}</span></div>`}
    <section class="panel" aria-label="All rules">${shown.length === 0 ? html`<div class="body">
        <${State} icon="inbox" title=${q ? 'No rule matches' : 'There are no rules'}>${q ? 'Its id, title, state and typology are searched.' : 'Add one, or apply a file with weir rules apply.'}<//></div>`
    : html`<div class="scroll"><table class="tbl rules"><thead><tr><th scope="col">Rule</th><th scope="col" class="hide-s">State</th><th scope="col" class="hide-s">Severity</th>
        <th scope="col" class="r hide-s">Alerts 1 h</th><th scope="col" class="r">24 h</th><th scope="col" class="by-hour">By hour<span class="hide-s">, 24 h</span></th><th scope="col" class="r hide-s">Precision</th>
        <th scope="col" class="r hide-s">Changed</th></tr></thead>
      <tbody>${shown.map(r => { const off = r.state === 'draft' || r.state === 'retired', n = (right?.[r.id] ?? 0) + (wrong?.[r.id] ?? 0), counts = hours?.of(r.id)
        return html`<tr key=${r.id}><td class="b name">
            <a class="plain" href=${to('rules', r.id)}>${r.title || sentence(r.id)}</a> <span class="muted sm w4">v${r.version}</span><span class="only-s"><${Pill} of=${RULE_STATE[r.state]} /></span></td><td class="hide-s">
            <${Pill} of=${RULE_STATE[r.state]} /></td><td class="hide-s"><${Severity} of=${r.severity} /></td>
            <td class="r hide-s">${off ? '–' : counts && f.number(counts.at(-1))}</td><td class="r">${off ? '–' : counts && f.number(sum(counts))}</td>
            <td class="by-hour">${!off && counts && html`<${Hours} counts=${counts} from=${hours.from} />`}</td>
            <td class="r hide-s">${n ? html`<b class="b">${f.percent((right?.[r.id] ?? 0) / n, 0)} %</b> <span class="muted sm">of ${n}</span>` : html`<span class="muted sm">none decided</span>`}</td>
            <td class="r muted sm hide-s">${[r.author, r.changed_at && f.day(Date.parse(r.changed_at))].filter(Boolean).join(', ')}</td></tr>` })}</tbody></table></div>`}</section><//></main>`
}

const BLANK = `id: new_rule
title: New rule
entity: customer
when: count(1h) >= 5
severity: medium
score: 50
reason: Many orders in an hour
`

const idOf = text => /^id:\s*["']?([\w.-]+)/m.exec(text)?.[1] ?? ''

function Rule({ id }) {
  const fresh = id === 'new', answer = useAsk(fresh ? null : '/v1/rules/' + encodeURIComponent(id), { every: 5000 }), book = useAsk(fresh ? '/v1/rules' : null)
  const [text, setText] = useState(fresh ? BLANK : null), [base, setBase] = useState(null), [problems, setProblems] = useState([]), [effects, setEffects] = useState([]), [checked, setChecked] = useState(null), [asking, askFor] = useState(null), [conflict, setConflict] = useState(null), [compare, setCompare] = useState(false)
  const r = answer.data?.rule, history = answer.data?.history ?? []
  // What was read first is what an edit is based on; as long as nothing is edited the page follows the book.
  useEffect(() => { if (r && (!base || text === base.text)) { setBase({ text: r.text, etag: answer.etag, version: r.version, state: r.state }); setText(r.text) } }, [r?.text, answer.etag])
  useEffect(() => { if (fresh && book.data) setBase({ text: '', etag: book.etag, version: 0, state: 'draft' }) }, [book.data])
  const edited = text != null && base && text !== base.text, target = fresh ? idOf(text ?? '') : id

  useEffect(() => {
    if (text == null || !edited) { setProblems([]); setEffects([]); return }
    const stop = new AbortController(), timer = setTimeout(async () => {
      try { const { body } = await check(text, target, stop.signal); setProblems(body.problems); setEffects(body.effects) } catch (e) { if (e.name === 'AbortError') return; setProblems([{ line: 0, column: 0, message: 'Not checked: ' + e.message }]) }
      setChecked(text)
    }, 300)
    return () => { clearTimeout(timer); stop.abort() }
  }, [text, edited])
  useLayoutEffect(() => { // at once: the next click may leave
    if (!edited) return
    const warn = e => e.preventDefault()
    addEventListener('beforeunload', warn)
    askBeforeLeaving(() => confirm('The edit of this rule is not applied. Leave it?'))
    return () => { removeEventListener('beforeunload', warn); askBeforeLeaving(null) }
  }, [edited])

  /** Writes a change on the revision that was seen. Where only other rules changed meanwhile it is written on the newest. */
  async function write(send, again = true) {
    const author = await who()
    if (!author) return
    try {
      const { body } = await send(author, base.etag)
      askFor(null)
      setConflict(null)
      const now = body.rules.find(x => x.id === target)
      tell(`${now.title || target}: ${RULE_STATE[now.state][1].toLowerCase()}, version ${now.version}, in force within 2 s`)
      setBase(null)
      setText(now.text)
      askBeforeLeaving(null)
      if (fresh) go(to('rules', target), true)
      else answer.reload()
    } catch (e) {
      if (e.status === 412 || e.status === 409) {
        const now = await ask('/v1/rules/' + encodeURIComponent(target)).catch(() => null)
        if (again && (now ? now.body.rule?.text === base.text && now.body.rule?.state === base.state : fresh)) { base.etag = now ? now.etag : (await ask('/v1/rules')).etag; return write(send, false) }
        askFor(null)
        setConflict({ why: e.message, now })
      } else { if (e.problem?.problems) setProblems(e.problem.problems); askFor(null); tell('Not changed: ' + e.message, { bad: true }) }
    }
  }
  const put = comment => write((author, etag) => ask('/v1/rules/' + encodeURIComponent(target), { method: 'PUT', headers: { 'If-Match': etag }, body: { yaml: text, author, comment } }))
  const move = (state, reason) => write((author, etag) => ask(`/v1/rules/${encodeURIComponent(id)}/state`, { method: 'POST', headers: { 'If-Match': etag }, body: { state, author, ...(reason && { reason }) } }))
  const theirs = () => { const now = conflict.now; setConflict(null); setBase({ text: now.body.rule.text, etag: now.etag, version: now.body.rule.version, state: now.body.rule.state }); setText(now.body.rule.text) }
  const onTop = () => { const now = conflict.now; setConflict(null); setBase({ ...base, text: now.body.rule?.text ?? '', etag: now.etag, version: now.body.rule?.version ?? 0, state: now.body.rule?.state }) }

  const next = { live: ['paused', 'Pause'], shadow: ['live', 'Make live'], draft: ['shadow', 'Run in shadow'], paused: ['live', 'Make live'], retired: ['shadow', 'Run in shadow'] }[r?.state]
  return html`<main class="main" id="main" tabindex="-1">
    <div class="head"><a class="btn s sq" href="/rules" aria-label="All rules"><${Icon} name="undo" size="14" /></a>
        <h1 class="ell">${fresh ? 'New rule' : r?.title || sentence(id)}</h1>${r && html`<${Pill} of=${RULE_STATE[r.state]} />
        <p class="mono">${id} v${r.version}</p>`}<span class="sp"></span>
      ${edited && !fresh && html`<button class="btn" onClick=${() => setText(base.text)}>Discard</button>`}
      ${r && base && !edited && html`<button class="btn" onClick=${() => askFor({ what: 'state', to: '' })}>State…</button>${next && html`<button class=${'btn' + (r.state === 'live' ? '' : ' pri')} onClick=${() => askFor({ what: 'state', to: next[0] })}>${next[1]}</button>`}`}
      ${edited && html`<button class="btn pri" disabled=${problems.length > 0 || !target} title=${problems.length ? 'Mend the problems or discard the edit first' : ''} onClick=${() => askFor({ what: 'text' })}>Apply</button>`}</div>
    ${conflict && html`<div class="strip warn panel" role="alert"><${Icon} name="warn" size="14" /><span>
        <b class="b">Not applied.</b> ${conflict.now?.body.history[0]?.author ? `${conflict.now.body.history[0].author} changed this rule meanwhile${conflict.now.body.history[0].comment ? `: ${conflict.now.body.history[0].comment}` : ''}.` : sentenceOf(conflict.why)} Your text is still here.</span>
        <span class="sp"></span>${conflict.now?.body.rule && html`<button class="btn s" onClick=${theirs}>Take theirs</button>
        <button class="btn s" onClick=${onTop}>Keep mine on top</button>`}</div>`}
    <${Asked} of=${fresh ? { data: true } : answer} missing="No such rule" height=${400}>
      ${!fresh && answer.data && !r ? html`<section class="panel"><div class="body">
          <${State} icon="inbox" title="This rule was removed">Its versions are below; restore one to have it again.<//></div></section>` : null}
      ${r && html`<${Figures} id=${id} r=${r} />`}
      <div class="grid">
        <section class="panel c7" aria-labelledby="p-def"><header><h2 id="p-def">Definition</h2>
            <p class="ell">${fresh ? 'YAML' : edited ? `v${base.version}, unsaved edit` : base ? `v${base.version}` : ''}</p>
            <span class="sp"></span>${edited && !fresh && html`<button class="btn s ghost" aria-pressed=${compare} onClick=${() => setCompare(!compare)}>${compare ? 'Edit' : 'Differences'}</button>`}</header>
          ${compare && edited ? html`<${Differences} a=${base.text} b=${text} />` : html`<${Editor} value=${text ?? ''} onInput=${setText} problems=${problems} label="Definition of the rule, YAML" />`}
          <${Verdict} problems=${problems} effects=${effects} edited=${edited} unchecked=${checked !== text} target=${target} /></section>
        <div class="c5 col gap">${!fresh && html`<${History} list=${history} now=${r} onRestore=${h => { setText(h.text); setCompare(true) }} />`}${!fresh && html`<${Latest} id=${id} />`}${fresh && html`<${Panel} id="p-how" title="Before it is live">
            <ol class="steps"><li>It is checked while you type. Nothing runs until you apply it.</li>
            <li>With <code>state: shadow</code> it is evaluated, and its alerts are recorded apart and told to nobody.</li>
            <li>Run a backtest, look at its shadow alerts, then make it live.</li></ol><//>`}</div></div>
      ${text && html`<${Backtest} id=${fresh ? target || 'new' : id} fresh=${fresh} yaml=${text} edited=${edited} blocked=${problems.length > 0} />`}<//>
    ${asking && html`<${Change} asking=${asking} r=${r} base=${base} onClose=${() => askFor(null)} onText=${put} onState=${move} />`}</main>`
}

async function check(text, id, signal) {
  const { document, lines, columns } = asDocument(text, id)
  const answer = await ask('/v1/rules/check', { method: 'POST', body: { yaml: document }, signal })
  for (const p of answer.body.problems) if (p.line) { p.line = Math.max(1, p.line - lines); p.column = Math.max(1, p.column - columns) }
  return answer
}

function Verdict({ problems, effects, edited, unchecked, target }) {
  const own = effects.find(e => e.kind === 'rule' && e.id === target)
  return html`<footer><div role="status" class="verdict">${problems.length ? html`<span class="warn row">
      <${Icon} name="warn" size="14" />${plural(problems.length, 'problem')}</span>` : edited && unchecked ? html`<span class="muted">Checking</span>` : edited ? html`<span class="good row">
      <${Icon} name="check" size="14" />Valid</span>
      <span>${own ? own.change === 'changed' ? 'it would be a new version' : own.change : ''}</span>` : html`<span>In force as it stands here. Edit it to change it.</span>`}
    ${problems.length > 0 && html`<ul class="problems">${problems.slice(0, 8).map(p => html`<li>${p.line > 0 && html`<b class="b nw">Ln ${p.line}, Col ${p.column}</b> `}${sentenceOf(p.message)}</li>`)}</ul>`}</div></footer>`
}

function Differences({ a, b }) {
  return html`<div class="code diff" tabindex="0" role="region" aria-label="Differences">${differences(a.split('\n'), b.split('\n')).map(([sign, line]) => html`<div class="no" aria-hidden="true">${sign}</div>
      <div class=${'tx ' + (sign === '+' ? 'ins' : sign === '−' ? 'del' : '')}>${sign !== ' ' && html`<span class="sr">${sign === '+' ? 'added: ' : 'taken away: '}</span>`}${line || ' '}</div>`)}</div>`
}

/** How the rule does, from its alerts and what people made of them. A shadow's alerts are held against what the live rules say of the same entities. */
function Figures({ id, r }) {
  const of = (filter, limit = 1) => useAsk('/v1/alerts?' + query({ rule: id, limit, ...filter }), { every: 10_000 }).data
  const day = of({ shadow: 'exclude', started_from: 'now-24h' }), shadow = of({ shadow: 'only', started_from: 'now-7d' }, 500), all = of({ shadow: 'include' })
  const s = all?.facets.status ?? {}, right = s.confirmed ?? 0, wrong = s.false_positive ?? 0, both = shadow?.alerts.filter(a => a.case_score > 0).length ?? 0, only = (shadow?.alerts.length ?? 0) - both
  return html`<section class="panel facts-panel"><dl class="kpis">
    <div><dt>Alerts, 24 h</dt><dd>${day ? f.number(day.total) : '–'} <small>${all ? `${f.number(all.total)} in all` : ''}</small></dd></div>
    <div><dt>Precision</dt><dd>${right + wrong ? f.percent(right / (right + wrong), 0) + ' %' : '–'} <small>${right + wrong ? `${right + wrong} decided` : 'none decided'}</small></dd></div>
    <div><dt>Open now</dt><dd>${all ? f.number((s.open ?? 0) + (s.acknowledged ?? 0)) : '–'} <small>
        <a class="link" href=${`/fraud?rule=${encodeURIComponent(id)}${r.state === 'shadow' ? '&shadow=include' : ''}`}>in Fraud</a></small></dd></div>
    <div><dt>Severity</dt><dd class="sev-dd"><${Severity} of=${r.severity} /> <small>${r.entity}, score ${r.score}</small></dd></div></dl>
    ${shadow?.total > 0 && html`<div class="shadow-row"><div class="row"><h2>Shadow against live</h2>
        <span class="sm muted">${shadow.total > shadow.alerts.length ? `the first ${shadow.alerts.length} of ${f.number(shadow.total)}, ` : ''}last 7 d, by alert</span></div>
      <div class="venn" role="img" aria-label=${`${both} about entities that live rules say something of too, ${only} about others`}>${both > 0 && html`<span class="v-both" style=${{ flex: both }}>${both}</span>`}${only > 0 && html`<span class="v-only" style=${{ flex: only }}>${only}</span>`}</div>
      <div class="legend"><span><i class="key v-both"></i>Live rules say something of the entity too</span><span>
          <i class="key v-only"></i>Only in shadow</span></div></div>`}</section>`
}

const CHANGES = { added: 'Added', changed: 'Changed', state: 'State', removed: 'Removed' }
const History = ({ list, now, onRestore }) => html`<${Panel} id="p-vers" title="Versions" what="newest first">${list.length === 0 ? html`<${State} icon="inbox" title="As it came">Nobody has changed this rule yet.<//>`
  : html`<ul class="vers">${list.map(h => html`<li key=${h.revision}><b class="b">v${h.version}</b><span class="col">
      <span class="ell" title=${h.comment}>${h.comment || CHANGES[h.change]}</span>
      <span class="sm muted ell">${[h.author, h.at ? f.moment(Date.parse(h.at)) : 'came with weir'].filter(Boolean).join(', ')}</span></span>${now && h.text === now.text ? html`<${Pill} of=${RULE_STATE[h.state]} />` : h.text && html`<button class="btn s" onClick=${() => onRestore(h)}>Restore</button>`}</li>`)}</ul>`}<//>`

function Latest({ id }) {
  const of = useAsk('/v1/alerts?' + query({ rule: id, shadow: 'include', sort: 'recent', limit: 6 }), { every: 10_000 }), now = present()
  return html`<${Panel} id="p-latest" title="Latest alerts" controls=${html`<a class="link sm" href=${`/fraud?rule=${encodeURIComponent(id)}&shadow=include`}>All ${of.data ? f.number(of.data.total) : ''}</a>`}>
      <${Asked} of=${of} height=${80}>${of.data?.alerts.length ? html`<ul class="al">${of.data.alerts.map(a => html`<li key=${a.id}>
      <${Severity} of=${a.severity} /><span class="col">
      <a class="ell plain" href=${to('fraud', a.id) + (a.shadow ? '?shadow=include' : '')}>${a.entity.slice(a.entity.indexOf(':') + 1)}</a>
      <span class="sm muted ell">${STATUS[a.status][1]}${a.shadow ? ', shadow' : ''}</span></span><span class="col r">
      <span class="b">${f.exact(a.at_risk)}</span>
      <span class="sm muted">${f.ago(a.last, now)}</span></span></li>`)}</ul>` : html`<${State} icon="inbox" title="None yet">This rule has found nothing so far.<//>`}<//><//>`
}

function Change({ asking, r, base, onClose, onText, onState }) {
  const [why, setWhy] = useState(''), [state, setState] = useState(asking.to || (r?.state ?? 'shadow')), text = asking.what === 'text'
  const words = { draft: 'kept, not evaluated', shadow: 'evaluated, alerts recorded apart and told to nobody', live: 'evaluated, alerts are told', paused: 'not evaluated for now', retired: 'not evaluated any more' }
  return html`<${Dialog} title=${text ? `Apply ${base.version ? `over v${base.version}` : 'the new rule'}` : 'Change the state'} onClose=${onClose}>
      <form class="col form" onSubmit=${e => { e.preventDefault(); text ? onText(why.trim()) : onState(state, why.trim()) }}>
    ${!text && html`<fieldset><legend>State</legend>${Object.entries(words).map(([s, w]) => html`<label class="radio">
        <input type="radio" name="state" value=${s} checked=${state === s} onChange=${() => setState(s)} /><span>
        <b class="b">${RULE_STATE[s][1]}</b> <span class="muted sm">${w}</span></span></label>`)}</fieldset>`}
    <label>${text ? 'What changes, and why' : 'Why'}<span class="field">
        <input autofocus=${text} maxlength="2000" required=${text} value=${why} onInput=${e => setWhy(e.target.value)} /></span></label>
    <p class="muted sm">In force on every instance within 2 s, without a restart. The version before can be restored.</p>
    <div class="row"><span class="sp"></span><button type="button" class="btn" onClick=${onClose}>Cancel</button>
        <button class="btn pri" disabled=${!text && state === r?.state}>${text ? 'Apply' : 'Change'}</button></div></form><//>`
}
