// weir.v1 in the browser: one websocket, any number of subscriptions, each a Map of rows that always equals what the query
// API would answer at that sequence number. No dependencies; also runs under Node with a WebSocket passed in.
//
//   const live = connect({ onchange: f => show(f) })
//   const orders = live.subscribe('metrics/orders', { window: '1m', from: 'now-1h' }, { onchange: sub => draw(sub.rows) })
//   orders.close()
//
// States: connecting, live, stale, recovering, reconnecting, offline.

export const SUBPROTOCOL = 'weir.v1'

// After these codes nothing gets better by trying again.
const FATAL = { 4400: 'the server did not understand this page; reload it', 4401: 'sign in again', 4403: 'this site may not connect', 4406: 'the server speaks another version; reload the page' }
const SLOW_DOWN = new Set([4410, 4429, 1013])

const BASE_MS = 500, CAP_MS = 30_000
const QUIET_MS = 5_000 // without any frame: the connection is doubtful
const DEAD_MS = 15_000 // … and given up
export const STALE_S = 5

/** Full jitter: anywhere between nothing and the exponential bound, so that clients do not come back in step. */
export function backoff(attempt, random = Math.random, base = BASE_MS) {
  return Math.round(random() * Math.min(CAP_MS, base * 2 ** attempt))
}

/** An id that equal subscriptions share in every browser, so that the server prepares one frame for all. */
function idOf(topic, filter, interval) {
  let h = 0x811c9dc5
  for (const c of JSON.stringify([topic, Object.entries(filter).sort(), interval])) h = Math.imul(h ^ c.codePointAt(0), 0x01000193) >>> 0
  return topic.slice(-40) + '.' + h.toString(36)
}

export function connect({
  url = defaultURL(), token = '', onchange = () => {}, WebSocket: Socket = globalThis.WebSocket,
  now = () => Date.now(), random = Math.random, setTimeout = globalThis.setTimeout.bind(globalThis), clearTimeout = globalThis.clearTimeout.bind(globalThis),
} = {}) {
  const subs = new Map()
  let ws = null, attempt = 0, welcomed = false, closed = false, fatal = ''
  let retryAt = 0, retryTimer = 0, watchTimer = 0, lastFrame = 0, notBefore = 0
  let clock = 0 // server time minus ours, in ms
  let meta = null // watermark, as_of, lag_records, partitions: the newest that came

  const api = {
    subscribe, close, retry,
    /** What to tell about freshness, now. */
    freshness() {
      const t = now(), serverNow = t + clock
      const f = { state: 'live', behindS: null, meta, serverNow, retryInS: 0, reason: fatal, idle: false }
      if (meta?.as_of) f.behindS = Math.max(0, (serverNow - Date.parse(meta.as_of)) / 1000)
      if (fatal) f.state = 'offline'
      else if (!ws && !welcomed) {
        f.state = globalThis.navigator?.onLine === false ? 'offline' : attempt ? 'reconnecting' : 'connecting'
        f.retryInS = Math.max(0, Math.ceil((retryAt - t) / 1000))
      } else if (!welcomed) f.state = attempt ? 'reconnecting' : 'connecting'
      else if (meta && meta.partitions.present < meta.partitions.expected) f.state = 'recovering'
      else if (t - lastFrame > QUIET_MS) { f.state = 'stale'; f.behindS = Math.max(f.behindS ?? 0, (t - lastFrame) / 1000) }
      else if (f.behindS !== null && f.behindS > STALE_S) { f.state = 'stale'; f.idle = meta.lag_records === 0 }
      return f
    },
  }

  function subscribe(topic, filter = {}, { interval = 100, onchange: changed = () => {}, onerror = () => {} } = {}) {
    const id = idOf(topic, filter, interval)
    let core = subs.get(id)
    if (!core) {
      core = { id, topic, filter, interval, rows: new Map(), info: null, epoch: '', seq: 0, ready: false, error: null, meta: null, page: null, users: new Set() }
      subs.set(id, core)
      if (welcomed) sendSub(core)
    }
    const user = {
      changed, onerror,
      get rows() { return core.rows }, get info() { return core.info }, get ready() { return core.ready },
      get error() { return core.error }, get meta() { return core.meta }, get seq() { return core.seq },
      close() {
        core.users.delete(user)
        if (core.users.size === 0 && subs.get(id) === core) {
          subs.delete(id)
          if (welcomed && !core.error) send({ type: 'unsub', id })
        }
      },
    }
    core.users.add(user)
    if (core.ready) queueMicrotask(() => core.users.has(user) && changed(user))
    return user
  }

  function tell(core) { for (const u of core.users) u.changed(u) }

  function open() {
    clearTimeout(retryTimer)
    if (closed || ws) return
    let socket
    try { socket = new Socket(url, [SUBPROTOCOL]) } catch (e) { fatal = String(e.message ?? e); onchange(api.freshness()); return }
    ws = socket
    lastFrame = now()
    socket.onopen = () => socket === ws && send({ type: 'hello', token, client: 'dashboard' })
    socket.onmessage = e => { if (socket === ws) { lastFrame = now(); receive(JSON.parse(e.data)) } }
    socket.onclose = e => { if (socket === ws) lost(e.code) }
    onchange(api.freshness())
  }

  function lost(code) {
    ws = null
    welcomed = false
    if (closed) return
    if (FATAL[code]) { fatal = FATAL[code]; onchange(api.freshness()); return }
    attempt++
    const wait = Math.max(backoff(attempt, random, SLOW_DOWN.has(code) ? 4 * BASE_MS : BASE_MS), notBefore - now())
    notBefore = 0
    retryAt = now() + wait
    retryTimer = setTimeout(open, wait)
    onchange(api.freshness())
  }

  /** Tries at once, for a button. */
  function retry() {
    fatal = ''
    if (!ws) open()
  }

  function close() {
    closed = true
    clearTimeout(retryTimer)
    clearTimeout(watchTimer)
    globalThis.removeEventListener?.('online', retry)
    ws?.close(1000)
    ws = null
    welcomed = false
  }

  function send(frame) { if (ws?.readyState === 1) ws.send(JSON.stringify(frame)) }

  function sendSub(core) {
    core.page = null
    send({ type: 'sub', id: core.id, topic: core.topic, filter: core.filter, interval_ms: core.interval, ...(core.ready && { resume: { epoch: core.epoch, seq: core.seq } }) })
  }

  function receive(f) {
    const core = subs.get(f.id)
    switch (f.type) {
      case 'welcome':
        welcomed = true
        clock = Date.parse(f.server_time) - now()
        for (const c of subs.values()) { c.error = null; sendSub(c) }
        break
      case 'tick':
        attempt = 0
        clock = Date.parse(f.server_time) - now()
        meta = f
        break
      case 'snap':
        if (core) snapshot(core, f)
        break
      case 'delta':
        if (core) delta(core, f)
        break
      case 'goaway':
        notBefore = now() + random() * (f.reconnect_after_ms ?? 1000)
        break
      case 'error':
        if (core) { core.error = f.error; for (const u of core.users) u.onerror(f.error); tell(core) }
        break
      // gap needs nothing: a new snapshot follows. pong neither. Unknown frames are of a newer server.
    }
    onchange(api.freshness())
  }

  function snapshot(core, f) {
    if (!core.page) core.page = new Map()
    for (const [key, row] of f.rows) core.page.set(key, row)
    if (f.info) core.info = f.info
    if (f.more) return
    Object.assign(core, { rows: core.page, page: null, epoch: f.epoch, seq: f.seq, ready: true, error: null, meta: f })
    meta = f
    tell(core)
  }

  function delta(core, f) {
    if (!core.ready || f.from !== core.seq) { // something was lost on the way: ask anew
      core.ready = false
      send({ type: 'unsub', id: core.id })
      sendSub(core)
      return
    }
    for (const [op, key, row] of f.ops) op === 'u' ? core.rows.set(key, row) : core.rows.delete(key)
    core.seq = f.to
    core.meta = meta = f
    tell(core)
  }

  // A connection can die without a close: the server ticks each second, so silence means something.
  function watch() {
    if (ws && now() - lastFrame > DEAD_MS) {
      const dead = ws
      dead.onclose = dead.onmessage = null
      dead.close()
      lost(1006)
    }
    onchange(api.freshness())
    watchTimer = setTimeout(watch, 1000)
  }

  globalThis.addEventListener?.('online', retry)
  open()
  watchTimer = setTimeout(watch, 1000)
  return api
}

function defaultURL() {
  const u = new URL('/v1/ws', globalThis.location?.href ?? 'http://localhost')
  u.protocol = u.protocol === 'https:' ? 'wss:' : 'ws:'
  return u.href
}
