// What the shell says and asks on behalf of any page: a short notice with its undo, and who it is that decides. Keys are heard here.
import { signal } from '@preact/signals'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { html } from './html.js'
import { Icon } from './icons.js'
import { Dialog } from './parts.js'
import { me, callMe } from './store.js'

const notice = signal(null) // {text, undo, bad}
let timer = 0
const NOTICE_MS = 20_000

/** Tells something politely. undo is called by its button and by the key u, for as long as the notice stands. */
export function tell(text, { undo = null, bad = false } = {}) {
  clearTimeout(timer)
  notice.value = { text, undo, bad }
  timer = setTimeout(() => { notice.value = null }, NOTICE_MS)
}
export const quiet = () => { clearTimeout(timer); notice.value = null }
export const undoLast = () => { const n = notice.value; if (n?.undo) { quiet(); n.undo() } }
export const offersUndo = () => !!notice.value?.undo

export function Notice() {
  const n = notice.value
  return html`<div role="status" aria-live="polite">${n && html`<div class="toast"><${Icon} name=${n.bad ? 'warn' : 'check'} size="14" />
      <span>${n.text}</span><span class="sp"></span>
    ${n.undo ? html`<button class="btn s" onClick=${undoLast}>Undo <span class="kbd">u</span></button>` : html`<button class="btn s" onClick=${quiet}>Dismiss</button>`}</div>`}</div>`
}

const asking = signal(null)

/** The name that decisions and changes carry, asked for once. Nobody, if the question is closed. */
export const who = () => me.value ? Promise.resolve(me.value) : askWho()
export const askWho = () => new Promise(resolve => { asking.value = resolve })

export function Who() {
  const field = useRef(null)
  if (!asking.value) return null
  const done = name => { const resolve = asking.value; asking.value = null; resolve?.(name) }
  return html`<${Dialog} title="Who decides?" onClose=${() => done('')}>
    <form class="col form" onSubmit=${e => { e.preventDefault(); const name = field.current.value.trim(); if (name) { callMe(name); done(name) } }}>
      <label>Your name, as colleagues know you<span class="field">
          <input ref=${field} autofocus required maxlength="200" autocomplete="username" value=${me.value} /></span></label>
      <p class="muted sm">It stands beside each decision and each change of a rule. This browser keeps it; there is no password.</p>
      <div class="row"><span class="sp"></span><button class="btn pri">Continue</button></div>
    </form>
  <//>`
}

let bindings = []

/** Hears keys while the component stands: {j: fn, 'g f': fn}. No key acts in a field, under a dialog, or with Ctrl, Alt or Meta. */
export function useKeys(map) {
  const ref = useRef(map)
  ref.current = map
  useLayoutEffect(() => { // at once: who sees the page may press a key
    const binding = key => ref.current[key]
    bindings.push(binding) // effects of inner components run first, so theirs stand first
    return () => { bindings = bindings.filter(b => b !== binding) }
  }, [])
}

let first = '', firstAt = 0
document.addEventListener('keydown', e => {
  if (e.defaultPrevented || e.ctrlKey || e.altKey || e.metaKey || document.querySelector('dialog[open]') || e.target.closest?.('input, textarea, select, [contenteditable]')) return
  if (e.key === 'Enter' && e.target.closest?.('a, button')) return
  const two = first && e.timeStamp - firstAt < 1500 ? first + ' ' + e.key : ''
  first = ''
  for (const key of two ? [two, e.key] : [e.key]) for (const b of bindings) {
    const act = b(key)
    if (act) { e.preventDefault(); act(e); return }
  }
  if (e.key === 'g') { first = 'g'; firstAt = e.timeStamp }
})
