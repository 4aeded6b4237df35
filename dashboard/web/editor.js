// A plain text field for YAML with line numbers, colours behind the text, and marks where a check found something.
import { html } from './html.js'

/** Colours of one line: a list of [class, text]. */
export function colours(line) {
  const out = []
  const token = /(#.*$)|("(?:[^"\\]|\\.)*"?|'[^']*'?)|(^\s*(?:- )?)([\w.]+)(?=:(?:\s|$))|\b(\d+(?:\.\d+)?(?:ms|[smhdw])?)\b/g
  let at = 0
  for (const m of line.matchAll(token)) {
    if (m.index > at) out.push(['', line.slice(at, m.index)])
    if (m[4] != null) out.push(['', m[3]], ['k', m[4]])
    else out.push([m[1] != null ? 'c' : m[2] != null ? 's' : 'd', m[0]])
    at = m.index + m[0].length
  }
  if (at < line.length) out.push(['', line.slice(at)])
  return out
}

const LINE = 20
export function Editor({ value, onInput, problems, label }) {
  const lines = value.split('\n'), bad = new Map(problems.filter(p => p.line).map(p => [p.line, p])), widest = Math.max(40, ...lines.map(l => l.length)) + 2
  return html`<div class="code edit"><div class="nos" aria-hidden="true">${lines.map((_, i) => html`<div class=${'no' + (bad.has(i + 1) ? ' er' : '')}>${i + 1}</div>`)}</div>
    <div class="sheet"><div class="under" aria-hidden="true">${[...bad.values()].map(p => html`<i class="er" style=${{ top: (p.line - 1) * LINE + 'px' }}><u style=${{ left: p.column - 1 + 'ch' }}></u></i>`)}${lines.map(l => html`<div class="tx">${colours(l).map(([c, t]) => c ? html`<span class=${c}>${t}</span>` : t)}</div>`)}</div>
      <textarea aria-label=${label} aria-invalid=${problems.length > 0} spellcheck="false" autocapitalize="off" autocomplete="off" wrap="off" rows=${lines.length} style=${{ minWidth: widest + 'ch' }} value=${value} onInput=${e => onInput(e.target.value)}></textarea></div></div>`
}

/** What lines became: [[' ' | '+' | '−', line]], by the longest common subsequence. Texts of rules are short. */
export function differences(a, b) {
  const n = a.length, m = b.length, best = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1))
  for (let i = n - 1; i >= 0; i--) for (let j = m - 1; j >= 0; j--) best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1])
  const out = []
  for (let i = 0, j = 0; i < n || j < m;) {
    if (i < n && j < m && a[i] === b[j]) { out.push([' ', a[i]]); i++; j++ } else if (j >= m || i < n && best[i + 1][j] >= best[i][j + 1]) out.push(['−', a[i++]])
    else out.push(['+', b[j++]])
  }
  return out
}

/** A rule alone is no document: it becomes an entry of one, which begins so many lines and columns before it. */
export function asDocument(text, id) {
  if (/^rules:/m.test(text)) return { document: text, lines: 0, columns: 0 }
  const own = /^id:/m.test(text)
  return { document: 'rules:\n' + ((own ? '' : `id: ${id}\n`) + text).split('\n').map((l, i) => i ? l && '    ' + l : '  - ' + l).join('\n'), lines: own ? 1 : 2, columns: 4 }
}
