// A shop with a past: the real binary in a folder of its own, on free ports, with a seeded replay in it. What comes after NOON is kept back,
// to be sent while somebody looks.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createServer } from 'node:net'

const BINARY = process.env.WEIR_BINARY
if (!BINARY) throw new Error('set WEIR_BINARY to the weir that is to be looked at (make build makes bin/weir)')

const START = '2026-03-02T00:00:00Z', NOON = '2026-03-03T12:00:00Z', PATIENCE_MS = 60_000
const env = { PATH: process.env.PATH, HOME: tmpdir() }

/** Waits for a fact: asks until it is so, or fails with what it was last. */
export async function until(what, ask, patience = PATIENCE_MS) {
  for (const end = Date.now() + patience; ;) {
    const [so, last] = await ask().then(v => Array.isArray(v) ? v : [v, v], e => [false, e.message])
    if (so) return last
    if (Date.now() > end) throw new Error(`${what}: still ${JSON.stringify(last)} after ${patience / 1000} s`)
    await new Promise(done => setTimeout(done, 50))
  }
}

/** A port that nobody listens on, below those that the system gives to connections: it is still free after a restart. */
const vacant = () => new Promise(done => {
  const port = 20_000 + Math.floor(Math.random() * 12_000), s = createServer()
  s.once('error', () => done(vacant())).listen(port, '127.0.0.1', () => s.close(() => done(port)))
})

export class Shop {
  /** Opens the shop and waits until everything before NOON is counted and judged. */
  static async open() {
    const shop = new Shop()
    shop.folder = mkdtempSync(join(tmpdir(), 'weir-e2e-'))
    shop.listen = `127.0.0.1:${await vacant()}`
    shop.url = 'http://' + shop.listen
    shop.kafka = `127.0.0.1:${await vacant()}`
    process.once('exit', () => shop.kill())
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
    const all = join(shop.folder, 'all.ndjson')
    execFileSync(BINARY, ['generate', '--orders', '1500', '--rate', '0.011', '--life-scale', '0.05', '--seed', '7', '--start', START, '--fraud', 'default', '--output', all, '--log-level', 'error'], { env })
    const events = readFileSync(all, 'utf8').trim().split('\n').map(line => ({ line, time: Date.parse(/"time":"([^"]+)"/.exec(line)[1]) }))
    shop.before = events.filter(e => e.time <= Date.parse(NOON)).map(e => e.line)
    shop.after = events.filter(e => e.time > Date.parse(NOON)).map(e => e.line)
    await shop.start()
    await shop.send(shop.before)
    return shop
  }

  /** generate: orders a second that come by themselves. */
  async start(generate = 0) {
    this.process = spawn(BINARY, ['up', '--instance', 'weir-0', '--generate', String(generate), '--seed', '7', '--rhythm=false', '--partitions', '4', '--data', join(this.folder, 'data'), '--listen', this.listen, '--kafka-listen', this.kafka],
      { env, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] })
    this.log = ''
    this.process.stderr.on('data', d => { this.log = (this.log + d).slice(-20_000) })
    const process_ = this.process, said = new Promise((done, fail) => {
      createInterface({ input: process_.stdout }).on('line', line => line.startsWith('stop it') && done())
      process_.once('exit', code => fail(new Error(`weir up ended with ${code}:\n${this.log}`)))
    })
    await said
    await until('weir is ready', async () => (await fetch(this.url + '/readyz')).ok)
  }

  /** Ends it at once, as a crash does. */
  async crash() {
    const gone = new Promise(done => this.process.once('exit', done))
    this.process.kill('SIGKILL')
    await gone
  }

  kill() { this.process?.kill('SIGKILL') }

  async close() {
    await this.crash()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Sends events and waits until all of them are counted. */
  async send(lines) {
    const was = await this.counted(), file = join(this.folder, 'some.ndjson')
    writeFileSync(file, lines.join('\n') + '\n')
    execFileSync(BINARY, ['replay', file, '--brokers', this.kafka, '--speed', 'max', '--log-level', 'error'], { env, stdio: ['ignore', 'ignore', 'inherit'] })
    let since = 0 // lags count that were measured after the events were: the others may be older than they
    await until(`${lines.length} events more than ${was} are counted`, async () => {
      const { groups, measured } = await this.get('/v1/status'), at = Date.parse(measured.at)
      if (events(groups) >= was + lines.length) since ||= at
      return [since && at > since && groups.every(g => g.lag_records === 0), groups.map(g => `${g.name} ${g.lag_records}`)]
    })
  }

  /** Takes so many of the lines that were kept back, for send. */
  next(n) { return this.after.splice(0, n) }

  async counted() { return events((await this.get('/v1/status')).groups) }

  /** A metric's count, or of: 'value', over the hour up to the newest window, as the query API tells it. */
  async total(metric, { where = '', of = 'count' } = {}) {
    const newest = await this.get('/v1/metrics/orders?window=1m&from=now-60s'), mark = Date.parse(newest.meta.watermark)
    const revenue = await this.get('/v1/metrics/revenue?window=1m&from=now-60s') // ranges end at the newest row that is not far ahead of the watermark
    const starts = [newest, revenue].flatMap(a => a.series).flatMap(s => s.points).map(p => Date.parse(p.start)).filter(t => t <= mark + 600e3)
    const last = Math.floor(Math.max(mark, ...starts) / 60e3) * 60e3
    const from = new Date(last + 60e3 - 3600e3).toISOString(), to = new Date(last + 60e3).toISOString()
    const answer = await this.get(`/v1/metrics/${metric}?window=all&from=${from}&to=${to}${where && '&where=' + encodeURIComponent(where)}`)
    return answer.series.flatMap(s => s.points).reduce((sum, p) => sum + Number(p[of]), 0)
  }

  /** How many orders were created in the hours up to the watermark, as the funnel counts them. */
  async created(hours) {
    const { series } = await this.get(`/v1/metrics/funnel?window=all&from=now-${hours * 3600}s&where=stage:created`)
    return series.flatMap(s => s.points).reduce((n, p) => n + p.count, 0)
  }

  async get(path) {
    const res = await fetch(this.url + path)
    if (!res.ok) throw new Error(`${path}: ${res.status} ${await res.text()}`)
    return res.json()
  }
}

const events = groups => groups.find(g => g.name.endsWith('orders')).counters.events ?? 0
