// live.js where websockets are denied: node stream.mjs LIVE.JS URL. It writes the rows after every change.
import { pathToFileURL } from 'node:url'

const [livejs, url] = process.argv.slice(2)
const { connect } = await import(pathToFileURL(livejs))

class Denied { constructor() { setTimeout(() => this.onclose?.({ code: 1006 }), 1) } close() {} }

// EventSource as browsers have it, as far as live.js uses it.
class Events {
  constructor(url) { this.stop = new AbortController(); this.read(url).catch(() => {}).then(() => this.onerror?.({})) }
  async read(url) {
    const resp = await fetch(url, { signal: this.stop.signal })
    let text = ''
    for await (const chunk of resp.body.pipeThrough(new TextDecoderStream())) {
      text += chunk
      for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
        const data = text.slice(0, end).split('\n').filter(l => l.startsWith('data: ')).map(l => l.slice(6)).join('\n')
        if (data) this.onmessage?.({ data })
      }
    }
  }
  close() { this.stop.abort() }
}

const live = connect({ url, WebSocket: Denied, EventSource: Events, random: () => 0.01 })
live.subscribe('metrics/orders', { by: 'region' }, { interval: 20, onchange: s => console.log(JSON.stringify(Object.fromEntries(s.rows))) })
