// Plays recorded transcripts to live.js: node transcript.mjs LIVE.JS CODES TRANSCRIPT…
//
// The script's client is imitated: what it subscribes to live.js is told to subscribe to, under ids of its own; then the server's frames
// go in, and the frames that live.js sends must be the transcript's. CODES is {code: whether to come back}.
import { readFileSync } from 'node:fs'
import assert from 'node:assert/strict'
import { pathToFileURL } from 'node:url'

const [livejs, codes, ...files] = process.argv.slice(2)
const { connect, SUBPROTOCOL } = await import(pathToFileURL(livejs))
const comeBack = JSON.parse(codes)
let states = 0, frames = 0, ends = 0

for (const file of files) play(file)
console.log(JSON.stringify({ states, frames, ends }))

function play(file) {
  const lines = readFileSync(file, 'utf8').trim().split('\n').map(l => JSON.parse(l))
  let clock = Date.parse('2026-01-01T12:00:01Z')
  const timers = new Map()
  let lastTimer = 0
  const sockets = []
  class Socket {
    constructor(url, protocols) { assert.deepEqual(protocols, [SUBPROTOCOL]); this.readyState = 0; this.sent = []; sockets.push(this) }
    send(text) { this.sent.push(JSON.parse(text)) }
    close() { this.readyState = 3 }
  }
  const live = connect({ url: 'ws://test/v1/ws', WebSocket: Socket, EventSource: null, random: () => 0.5, now: () => clock,
    setTimeout: (fn, ms) => { timers.set(++lastTimer, { fn, at: clock + ms }); return lastTimer }, clearTimeout: id => timers.delete(id) })
  const elapse = ms => {
    const end = clock + ms
    for (;;) {
      const [id, next] = [...timers].sort((a, b) => a[1].at - b[1].at)[0] ?? []
      if (!next || next.at > end) break
      timers.delete(id)
      clock = Math.max(clock, next.at)
      next.fn()
    }
    clock = end
  }
  const users = new Map(), idOf = new Map() // by the transcript's id
  let socket = null
  const sent = () => socket.sent.shift()
  for (const [n, line] of lines.entries()) {
    const at = `${file}:${n + 1}`
    if (line.open) {
      for (let s = 0; socket && s < 60 && sockets.at(-1) === socket; s++) elapse(1000) // the wait before coming back
      socket = sockets.at(-1)
      assert.equal(socket.readyState, 0, at + ': live.js has not come back')
      socket.readyState = 1
      socket.onopen()
    } else if (line.client) {
      const f = line.client
      if (f.type === 'hello') { if (socket.sent.length) assert.equal(sent().type, 'hello', at); continue }
      if (f.type === 'ping') continue
      if (f.type === 'sub') {
        if (!users.has(f.id)) {
          const user = live.subscribe(f.topic, f.filter, { interval: f.interval_ms })
          users.set(f.id, user)
        }
        const s = sent()
        idOf.set(f.id, s.id)
        assert.deepEqual({ ...s, id: f.id, filter: f.filter }, f, at)
      } else if (!users.has(f.id)) continue // what a client does wrong on purpose
      else { users.get(f.id)[f.type === 'unsub' ? 'close' : f.type](); assert.deepEqual(sent(), { ...f, id: idOf.get(f.id) }, at) }
    } else if (line.server) {
      frames++
      const id = line.server.id
      clock += 10
      socket.onmessage({ data: JSON.stringify({ ...line.server, ...(id && { id: idOf.get(id) ?? id }) }) })
    } else if (line.cut) {
      socket.onclose({ code: 1006 })
    } else if (line.closed) {
      ends++
      const { code } = line.closed
      socket.onclose({ code })
      const f = live.freshness()
      if (!comeBack[code]) {
        assert.equal(f.state, 'offline', at)
        assert.ok(f.reason, at)
        elapse(60_000)
        assert.equal(sockets.at(-1), socket, at + ': live.js comes back although nothing gets better')
      } else {
        assert.equal(f.state, 'reconnecting', at)
        const before = sockets.length
        elapse(code === 1012 ? 400 : 200)
        assert.equal(sockets.length, before, at + ': live.js comes back at once')
        elapse(60_000)
        assert.ok(sockets.length > before, at + ': live.js does not come back')
      }
    } else if (line.state) {
      for (const [id, want] of Object.entries(line.state)) {
        states++
        const user = users.get(id)
        assert.equal(user.seq, want.seq, `${at}: ${id}`)
        assert.deepEqual(Object.fromEntries(user.rows), want.rows, `${at}: ${id}`)
      }
    }
  }
  live.close()
}
