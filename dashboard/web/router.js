// Where the person is. All state of a page that is worth a link is in the address: its path, then its parameters.
import { signal } from '@preact/signals'

const PAGES = ['', 'funnel', 'fraud', 'orders', 'customers', 'entities', 'rules', 'operations']

function read() {
  const part = p => { try { return decodeURIComponent(p) } catch { return p } }
  return { path: location.pathname.split('/').slice(1).map(part), params: new URLSearchParams(location.search) }
}

export const route = signal(read())

/** The address of a page: to('orders', 'o-1') → /orders/o-1 */
export const to = (...path) => '/' + path.map(encodeURIComponent).join('/')

let guard = null
/** Sets what is asked before another page is gone to: false stays here. null asks nothing. */
export function askBeforeLeaving(ask) { guard = ask }

export function go(url, replace) {
  if (replace && url === location.pathname + location.search) return
  if (guard && new URL(url, location.href).pathname !== location.pathname && !guard()) return
  history[replace ? 'replaceState' : 'pushState'](null, '', url)
  route.value = read()
}

/** Changes parameters: a null or an empty text takes one away. What is typed replaces the entry of the history, what is chosen adds one. */
export function set(changes, replace = true) {
  const params = new URLSearchParams(location.search)
  for (const [name, value] of Object.entries(changes)) value == null || value === '' || value.length === 0 ? params.delete(name) : params.set(name, value)
  const text = params.toString()
  go(location.pathname + (text && '?' + text), replace)
}

addEventListener('popstate', () => { route.value = read() })

// Links of the dashboard's own pages are followed without loading anything.
document.addEventListener('click', e => {
  const a = e.target.closest?.('a[href]'), href = a?.getAttribute('href')
  if (e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || !href?.startsWith('/') || a.target || a.hasAttribute('download')) return
  if (!PAGES.includes(href.slice(1).split(/[/?#]/)[0])) return
  e.preventDefault()
  const before = location.pathname
  go(href)
  if (location.pathname !== before && a.dataset.stay == null) {
    scrollTo(0, 0)
    document.getElementById('main')?.focus({ preventScroll: true })
  }
})
