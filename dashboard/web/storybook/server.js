// A server of canned answers: fetch, WebSocket and EventSource as pages know them, told by a state what to say. Nothing leaves the page.

const TICK_MS = 1000
const NEVER = new Promise(() => {})
const PROBLEM = { type: 'about:blank', title: 'Internal Server Error', status: 500, detail: 'the table could not be read: its partition 7 is being restored' }

export const keyOf = ({ topic, filter }) => topic + '?' + new URLSearchParams(Object.entries(filter ?? {}).map(([k, v]) => [k, [].concat(v).join(',')]).sort())

/**
 * canned: {rest: {path: body}, frames: {key: snap}}. state: {rest, frames: 'never' | 'error' | undefined, body(o, path), row(o), meta(m), close: code}.
 * Returns what the storybook does to it: {asked: paths and topics that nobody recorded, quiet() → ms since the last answer, delta()}.
 */
export function serve(canned, state) {
  const told = { asked: [], sockets: new Set(), at: performance.now(), posts: [] }
  const meta = () => state.meta({ watermark: newest(canned), as_of: ago(400), caught_up_at: ago(900), lag_records: 0, partitions: { present: 12, expected: 12 } })
  const answer = (body, status = 200, headers = {}) => { told.at = performance.now(); return new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } }) }

  globalThis.fetch = async (resource, { method = 'GET', body } = {}) => {
    const url = new URL(resource.url ?? resource, location.href), path = url.pathname + url.search
    await null
    if (state.away) throw new TypeError('Failed to fetch')
    if (method !== 'GET') return state.post ? answer(...state.post(url.pathname, JSON.parse(body ?? 'null'), canned)) : answer(PROBLEM, 500)
    const known = canned.rest[path] ?? near(canned.rest, url.pathname, told, path), first = url.pathname === '/v1/metrics'
    if (!known) return answer({ ...PROBLEM, title: 'Not Found', status: 404, detail: 'the storybook has no answer for ' + path }, 404)
    if (state.rest === 'never' && !first) return NEVER
    if (state.rest === 'error' && !first) return answer(PROBLEM, 500)
    const [say, status] = [].concat(state.body(fresh(known, meta()), url.pathname))
    return answer(say, status, { ETag: '"1"' })
  }

  globalThis.WebSocket = class extends EventTarget {
    constructor(url, protocols) {
      super()
      Object.assign(this, { url, protocol: [].concat(protocols)[0], readyState: 0, bufferedAmount: 0, subs: new Map() })
      queueMicrotask(() => state.away ? this.end(1006) : this.say('open', {}, 1))
    }
    say(type, init, readyState = this.readyState) {
      this.readyState = readyState
      const e = Object.assign(new Event(type), init)
      this['on' + type]?.(e)
      this.dispatchEvent(e)
    }
    frame(f) { if (this.readyState === 1) { told.at = performance.now(); this.say('message', { data: JSON.stringify(f) }) } }
    tick() { const { watermark, as_of, caught_up_at, lag_records, partitions } = meta(); this.frame({ type: 'tick', server_time: ago(0), watermark, as_of, caught_up_at, lag_records, partitions }) }
    end(code) { if (this.readyState === 3) return; clearInterval(this.timer); told.sockets.delete(this); this.say('close', { code, wasClean: code === 1000, reason: '' }, 3) }
    close(code = 1000) { this.end(code) }
    send(text) {
      const f = JSON.parse(text)
      queueMicrotask(() => {
        if (f.type === 'hello') {
          told.sockets.add(this)
          this.frame({ type: 'welcome', session: 'storybook', server_time: ago(0), limits: {}, build: 'storybook' })
          this.tick()
          this.timer = setInterval(() => this.tick(), TICK_MS)
        } else if (f.type === 'ping') this.frame({ type: 'pong' })
        else if (f.type === 'unsub') this.subs.delete(f.id)
        else if (f.type === 'sub') this.subscribe(f)
      })
    }
    subscribe(f) {
      const key = keyOf(f), snap = canned.frames[key] ?? near(canned.frames, f.topic, told, key)
      if (state.frames === 'never') return
      if (state.frames === 'error' || !snap) return this.frame({ type: 'error', id: f.id, error: snap ? PROBLEM : { ...PROBLEM, status: 404, detail: 'the storybook has no frames for ' + key } })
      const rows = (state.rows ?? (r => r))(snap.rows).map(([k, row]) => [k, state.row(structuredClone(row))])
      this.subs.set(f.id, { seq: 1, rows })
      this.frame({ ...snap, ...meta(), type: 'snap', id: f.id, epoch: 'storybook', seq: 1, page: 0, rows, more: false })
    }
  }
  globalThis.EventSource = class extends EventTarget {
    constructor() { super(); this.readyState = 2; queueMicrotask(() => { const e = new Event('error'); this.onerror?.(e); this.dispatchEvent(e) }) }
    close() {}
  }
  return {
    asked: told.asked, quiet: () => performance.now() - told.at,
    /** Ends all connections; state.away says whether they come back. */
    end(code) { for (const s of [...told.sockets]) s.end(code) },
    /** One change: the first row of the first list that has one comes again, with one more of what it counts. */
    delta() {
      for (const s of told.sockets) for (const [id, sub] of s.subs) {
        const [key, row] = sub.rows[0] ?? []
        if (!row) continue
        if (typeof row.count === 'number') row.count++
        if (typeof row.hits === 'number') row.hits++
        s.frame({ type: 'delta', id, epoch: 'storybook', from: sub.seq, to: ++sub.seq, ops: [["u", key, row]], ...meta() })
        return
      }
    },
  }
}

const ago = ms => new Date(Date.now() - ms).toISOString()
const newest = canned => Object.values(canned.frames).map(f => f.watermark).filter(Boolean).sort().at(-1)

/** What was recorded for the same path with other parameters; that it was not this one is remembered. */
function near(of, path, told, asked) {
  const key = Object.keys(of).find(k => k.split('?')[0] === path)
  if (!told.asked.includes(asked)) told.asked.push(asked)
  return of[key]
}

/** A copy of an answer as if it were told now. */
export function fresh(value, meta) {
  if (Array.isArray(value)) return value.map(v => fresh(v, meta))
  if (!value || typeof value !== 'object') return value
  const out = {}
  for (const [k, v] of Object.entries(value)) out[k] = k === 'meta' && v?.partitions ? { ...v, ...meta, watermark: v.watermark } : fresh(v, meta)
  return out
}
