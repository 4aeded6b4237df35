// Asking the query API: answers, problems (RFC 9457), and a hook that keeps an answer current.
import { useEffect, useReducer, useRef } from 'preact/hooks'
import { paused } from './store.js'

/** ask(path) → {body, status, etag}. Throws an Error with status and problem; status 0: the server does not answer. */
export async function ask(path, { method = 'GET', body, headers = {}, signal } = {}) {
  let res
  try {
    res = await fetch(path, { method, signal, headers: { Accept: 'application/json', ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers }, body: body !== undefined ? JSON.stringify(body) : undefined })
  } catch (e) {
    if (e.name === 'AbortError') throw e
    throw Object.assign(new Error('The server does not answer.'), { status: 0, problem: {} })
  }
  const answer = await res.json().catch(() => ({}))
  if (!res.ok) throw Object.assign(new Error(answer.detail ?? res.statusText), { status: res.status, problem: answer })
  return { body: answer, status: res.status, etag: res.headers.get('ETag') ?? '' }
}

export const query = params => {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(params)) for (const one of Array.isArray(v) ? v : [v]) if (one != null && one !== '') q.append(k, one)
  return q.toString()
}

/**
 * The answer of a path: {data, etag, error, stale, reload}. It is asked again every `every` ms while somebody looks and updates are not
 * held, and whenever `version` changes. A failed repetition leaves the last answer, as stale. A path of null asks nothing.
 */
export function useAsk(path, { every = 0, version = '' } = {}) {
  const [, redraw] = useReducer(n => n + 1, 0)
  const ref = useRef(null)
  if (ref.current?.path !== path) ref.current = { path, data: null, etag: '', error: null, stale: false, reload: () => {} }
  const state = ref.current
  useEffect(() => {
    if (path == null) return
    let timer = 0, stop = null, ended = false
    const load = async () => {
      clearTimeout(timer)
      stop?.abort()
      const mine = stop = new AbortController()
      try {
        const { body, etag } = await ask(path, { signal: mine.signal })
        Object.assign(state, { data: body, etag, error: null, stale: false })
      } catch (e) {
        if (e.name === 'AbortError') return
        Object.assign(state, { error: e, stale: state.data != null })
        if (e.status === 404) state.data = null
      }
      if (ended || mine !== stop) return
      redraw()
      const wait = state.error && state.error.status !== 404 ? Math.max(every, 5000) : every
      if (wait) timer = setTimeout(function due() { document.hidden || paused.value ? timer = setTimeout(due, 1000) : load() }, wait)
    }
    state.reload = load
    load()
    return () => { ended = true; clearTimeout(timer); stop?.abort() }
  }, [path, version])
  return state
}
