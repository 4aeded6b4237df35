// weir.v1 in the browser: one connection, any number of subscriptions, each a Map of rows that always equals what the query API
// would answer at that sequence number. LIVE.md beside this file documents it for others. No dependencies; also runs under Node.
//
//   const live = connect({ onchange: f => show(f) })
//   const orders = live.subscribe('metrics/orders', { window: '1m', from: 'now-1h' }, { onchange: sub => draw(sub.rows) })
//   orders.close()
//
// States: connecting, live, stale, recovering, reconnecting, offline.

export const SUBPROTOCOL = 'weir.v1'

// After these codes nothing gets better by trying again.
const LOST = 'the server did not understand this page; reload it'
const FATAL = { 1009: LOST, 4400: LOST, 4401: 'sign in again', 4403: 'this site may not connect', 4406: 'the server speaks another version; reload the page', 4409: LOST }
const SLOW_DOWN = new Set([4410, 4429, 1013])

const BASE_MS = 500, CAP_MS = 30_000
const QUIET_MS = 5_000 // without any frame: the connection is doubtful
const DEAD_MS = 15_000 // … and given up
const WELCOME_MS = 10_000 // for the server to answer hello
const ANSWER_MS = 10_000 // … and a subscription
const AGAIN_MS = 5_000 // after this what the server could not answer is asked again
const STEADY_MS = 5_000 // a connection that lasts so long was a success: the next attempts are quick again
const DENIED = 3 // websockets in a row that never opened: a proxy denies them, and server-sent events take their place
export const STALE_S = 5
const CATCH_UP_S = 30 // rows are being written, but of what was sent so long ago
const KNOWN_S = 10 // the server looks every 2 s until when all that was sent is counted: what it knew so long ago says nothing of now

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
  url = defaultURL(), streamURL = streamOf(url), token = '', onchange = () => {}, WebSocket: Socket = globalThis.WebSocket, EventSource: Events = globalThis.EventSource,
  now = () => Date.now(), random = Math.random, setTimeout = globalThis.setTimeout.bind(globalThis), clearTimeout = globalThis.clearTimeout.bind(globalThis),
} = {}) {
  const subs = new Map()
  let ws = null, attempt = 0, welcomed = false, closed = false, fatal = ''
  let denied = 0, opened = false, viaStream = false
  let retryAt = 0, retryTimer = 0, watchTimer = 0, lastFrame = 0, began = 0, notBefore = 0
  let clock = 0 // server time minus ours, in ms
  let judged = false // a tick or a delta has told on this connection how current the metrics are; a snapshot may be of long ago
  let meta = null // watermark, as_of, caught_up_at, lag_records, partitions: the newest that came

  const api = {
    subscribe, close, retry,
    /** What to tell about freshness, now. */
    freshness() {
      const t = now(), serverNow = t + clock
      const f = { state: 'live', behindS: null, meta, serverNow, retryInS: 0, reason: fatal, quietS: null, catchingUp: false }, counted = serverNow - Date.parse(meta?.caught_up_at ?? 0)
      if (meta?.as_of) f.behindS = Math.max(0, (serverNow - Date.parse(meta.as_of)) / 1000)
      if (fatal) f.state = 'offline'
      else if (!ws && !welcomed) {
        f.state = globalThis.navigator?.onLine === false ? 'offline' : attempt ? 'reconnecting' : 'connecting'
        f.retryInS = Math.max(0, Math.ceil((retryAt - t) / 1000))
      } else if (!welcomed) f.state = attempt ? 'reconnecting' : 'connecting'
      else if (meta && meta.partitions.present < meta.partitions.expected) f.state = 'recovering'
      else if (t - lastFrame > QUIET_MS) { f.state = 'stale'; f.behindS = Math.max(f.behindS ?? 0, (t - lastFrame) / 1000) }
      else if (f.behindS !== null && f.behindS > STALE_S) {
        if (counted <= KNOWN_S * 1000) f.quietS = f.behindS
        else f.state = judged ? 'stale' : 'connecting'
      } else if (meta?.caught_up_at && counted > CATCH_UP_S * 1000) { f.catchingUp = true; f.behindS = counted / 1000 }
      return f
    },
  }

  function subscribe(topic, filter = {}, { interval = 100, onchange: changed = () => {}, onerror = () => {} } = {}) {
    const id = idOf(topic, filter, interval)
    let core = subs.get(id)
    if (!core) {
      core = { id, topic, filter, interval, rows: new Map(), info: null, epoch: '', seq: 0, ready: false, error: null, meta: null,
        page: null, asked: 0, held: false, users: new Set() }
      subs.set(id, core)
      ask(core)
    }
    const user = {
      changed, onerror, paused: false,
      get rows() { return core.rows }, get info() { return core.info }, get ready() { return core.ready },
      get error() { return core.error }, get meta() { return core.meta }, get seq() { return core.seq },
      pause() { user.paused = true; hold(core) },
      resume() { user.paused = false; hold(core) },
      close() {
        core.users.delete(user)
        if (core.users.size === 0 && subs.get(id) === core) {
          subs.delete(id)
          if (!core.error) forget(core)
        } else hold(core)
      },
    }
    core.users.add(user)
    hold(core)
    if (core.ready) queueMicrotask(() => core.users.has(user) && changed(user))
    return user
  }

  function tell(core) { for (const u of core.users) u.changed(u) }

  function open() {
    clearTimeout(retryTimer)
    if (closed || ws) return
    opened = false
    began = lastFrame = now()
    try { ws = viaStream ? openStream() : openSocket() } catch (e) { fatal = String(e.message ?? e) }
    onchange(api.freshness())
  }

  function openSocket() {
    const socket = new Socket(url, [SUBPROTOCOL])
    socket.onopen = () => { if (socket === ws) { opened = true; denied = 0; send({ type: 'hello', token, client: 'live.js' }) } }
    socket.onmessage = e => { if (socket === ws) { lastFrame = now(); receive(JSON.parse(e.data)) } }
    socket.onclose = e => { if (socket === ws) lost(e.code) }
    return socket
  }

  // A stream's subscriptions are in its address: it is opened anew when they change. What the browser would do by itself when it ends
  // (come back with Last-Event-ID) is done here, with jitter.
  function openStream() {
    const u = new URL(streamURL)
    if (token) u.searchParams.set('token', token)
    for (const core of subs.values()) { begin(core); u.searchParams.append('sub', JSON.stringify(subFrame(core))) }
    if (!subs.size) return null // retry comes with the first subscription
    const stream = new Events(u.href)
    stream.onmessage = e => { if (stream === ws) { lastFrame = now(); receive(JSON.parse(e.data)) } }
    stream.onerror = () => { if (stream === ws) { stream.close(); lost(1006) } }
    return stream
  }

  function lost(code) {
    if (!viaStream && !opened && ++denied >= DENIED && Events) viaStream = true
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

  // Ends a connection from this side and goes on as if it had been cut.
  function drop() {
    const dead = ws
    dead.onclose = dead.onmessage = dead.onerror = null
    dead.close()
    lost(1006)
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

  function send(frame) { if (ws?.readyState === 1 && !viaStream) ws.send(JSON.stringify(frame)) }

  // begin marks that an answer is waited for; deltas that are still under way from before are passed over until it comes.
  function begin(core) {
    core.page = null
    core.asked = now()
    core.held = false
  }

  function subFrame(core) {
    return { type: 'sub', id: core.id, topic: core.topic, filter: core.filter, interval_ms: core.interval, ...(core.ready && { resume: { epoch: core.epoch, seq: core.seq } }) }
  }

  function ask(core) {
    if (viaStream) { reopen(); return }
    if (!welcomed) return
    begin(core)
    send(subFrame(core))
    hold(core)
  }

  function forget(core) {
    if (viaStream) reopen()
    else if (welcomed) send({ type: 'unsub', id: core.id })
  }

  // Asks anew, from the snapshot: what is held is shown until that comes, but nothing is built on it.
  function again(core) {
    core.ready = false
    if (viaStream) { reopen(); return }
    if (!welcomed) return
    if (!core.error) send({ type: 'unsub', id: core.id }) // what was refused is not held
    ask(core)
  }

  function reopen() {
    if (closed || fatal) return
    clearTimeout(retryTimer)
    retryTimer = setTimeout(() => { if (ws) { ws.onerror = ws.onmessage = null; ws.close(); ws = null; welcomed = false } open() }, 20) // once for all that change now
  }

  // A subscription is held back at the server while all who use it pause. A stream cannot be told to.
  function hold(core) {
    const want = core.users.size > 0 && [...core.users].every(u => u.paused)
    if (want === core.held || !welcomed || viaStream) return
    core.held = want
    send({ type: want ? 'pause' : 'resume', id: core.id })
  }

  function receive(f) {
    const core = subs.get(f.id)
    switch (f.type) {
      case 'welcome':
        welcomed = true
        judged = false
        clock = Date.parse(f.server_time) - now()
        if (!viaStream) for (const c of subs.values()) { c.error = null; ask(c) }
        break
      case 'tick':
        clock = Date.parse(f.server_time) - now()
        meta = f
        judged = true
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
      case 'close': // a stream's goodbye
        ws?.close()
        lost(f.code)
        break
      case 'error':
        if (core && f.error?.status === 409) core.asked = Math.min(core.asked, now() - ANSWER_MS) // our unsub was lost: watch asks anew
        else if (core && !(f.error?.status === 404 && f.error.param === 'id')) { // not: an unsub of what the server did not have
          core.error = f.error
          core.asked = f.error?.status >= 500 ? now() - ANSWER_MS + AGAIN_MS : 0 // the server's trouble passes: watch asks anew
          for (const u of core.users) u.onerror(f.error)
          tell(core)
        }
        break
      // gap needs nothing: a new snapshot follows. pong neither. Unknown frames are of a newer server.
    }
    onchange(api.freshness())
  }

  // The freshness shown is that of the metrics: alerts and orders are tables of their own.
  function fresh(core, f) {
    core.meta = f
    const metrics = core.topic.startsWith('metrics/')
    if (f.type === 'delta' && metrics) judged = true
    if (metrics && !(f.type === 'snap' && judged) || !meta) meta = f
  }

  function snapshot(core, f) {
    if (f.page === 0) core.page = { epoch: f.epoch, seq: f.seq, next: 0, rows: new Map(), info: f.info ?? null }
    const p = core.page
    if (!p || p.epoch !== f.epoch || p.seq !== f.seq || p.next !== f.page) { core.page = null; if (!core.asked) again(core); return }
    for (const [key, row] of f.rows) p.rows.set(key, row)
    p.next++
    if (f.more) return
    Object.assign(core, { rows: p.rows, info: p.info, page: null, epoch: f.epoch, seq: f.seq, ready: true, error: null, asked: 0 })
    fresh(core, f)
    tell(core)
  }

  function delta(core, f) {
    if (!core.ready || f.epoch !== core.epoch || f.from !== core.seq) {
      if (!core.asked) again(core) // something was lost on the way
      return
    }
    for (const [op, key, row] of f.ops) op === 'u' ? core.rows.set(key, row) : core.rows.delete(key)
    core.seq = f.to
    core.asked = 0
    fresh(core, f)
    tell(core)
  }

  // A connection can die without a close: the server ticks each second, so silence means something. So does an answer that never comes.
  function watch() {
    const t = now()
    if (ws && (t - lastFrame > DEAD_MS || !welcomed && t - began > WELCOME_MS)) drop()
    else if (welcomed) {
      if (t - began > STEADY_MS) attempt = 0
      for (const core of subs.values()) if (core.asked && t - core.asked >= ANSWER_MS) again(core)
    }
    onchange(api.freshness())
    watchTimer = setTimeout(watch, 1000)
  }

  globalThis.addEventListener?.('online', retry)
  open()
  watchTimer = setTimeout(watch, 1000)
  return api
}

function streamOf(url) {
  const u = new URL(url)
  u.protocol = u.protocol === 'wss:' ? 'https:' : 'http:'
  u.pathname = u.pathname.replace(/ws$/, 'stream')
  return u.href
}

function defaultURL() {
  const u = new URL('/v1/ws', globalThis.location?.href ?? 'http://localhost')
  u.protocol = u.protocol === 'https:' ? 'wss:' : 'ws:'
  return u.href
}
