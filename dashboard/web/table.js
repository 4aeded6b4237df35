// The table behind a panel: the same numbers to be read one by one, and to be saved as CSV. Which panels show theirs is in the address.
import { html } from './html.js'
import { Icon } from './icons.js'
import { route, set } from './router.js'
import { stamp } from './format.js'

/**
 * What a panel shows, as a table: {name, head, rows}. head: of each column {word, write?, r?} or its word; rows: lists of values, times as
 * numbers of ms in columns with time: true. write(value, row) says how the table tells a value; the file has it as it is.
 */
const column = c => typeof c === 'string' ? { word: c } : c
const MAX_ROWS = 1000 // to look at; the file has all

const tabled = () => (route.value.params.get('table') ?? '').split(',').filter(Boolean)
export const isTabled = id => tabled().includes(id)
const flip = id => set({ table: (isTabled(id) ? tabled().filter(t => t !== id) : [...tabled(), id]).join(',') })

const told = (c, v, row) => v == null ? '–' : c.write ? c.write(v, row) : c.time ? stamp(v, 0) : String(v)

export function Table({ title, table }) {
  const { head, rows } = table(), columns = head.map(column)
  return html`<div class="scroll behind" tabindex="0" role="region" aria-label=${title + ', as a table'}><table class="tbl flush">
    <thead><tr>${columns.map(c => html`<th scope="col" class=${c.r ? 'r' : ''}>${c.word}</th>`)}</tr></thead>
    <tbody>${rows.slice(0, MAX_ROWS).map(row => html`<tr>${columns.map((c, i) => html`<td class=${c.r ? 'r' : ''}>${told(c, row[i], row)}</td>`)}</tr>`)}</tbody></table></div>`
}

/** A value as CSV has it. A text that a spreadsheet would take for a formula is quoted from it. */
export function cell(v) {
  if (v == null) return ''
  let s = String(v)
  if (typeof v === 'string' && /^[=+\-@\t\r]/.test(s)) s = "'" + s
  return /[",\n\r]/.test(s) ? '"' + s.replaceAll('"', '""') + '"' : s
}
export function csv({ head, rows }) {
  const columns = head.map(column)
  return [columns.map(c => cell(c.word)), ...rows.map(row => columns.map((c, i) => cell(c.time && row[i] != null ? new Date(row[i]).toISOString() : row[i])))].map(r => r.join(',')).join('\r\n') + '\r\n'
}

function save(table) {
  const t = table(), a = document.createElement('a')
  a.href = URL.createObjectURL(new Blob([csv(t)], { type: 'text/csv' }))
  a.download = `weir-${t.name}-${new Date().toISOString().slice(0, 16).replace(':', '')}.csv`
  a.click()
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000)
}

export const Tools = ({ id, title, table, ready }) => html`
  <button class="btn ghost s sq" aria-pressed=${isTabled(id)} onClick=${() => flip(id)} aria-label=${title + ' as a table'} title="As a table"><${Icon} name="table" size="14" /></button>
  <button class="btn ghost s sq" disabled=${!ready} onClick=${() => save(table)} aria-label=${'Save ' + title + ' as CSV'} title="Save as CSV"><${Icon} name="save" size="14" /></button>`
