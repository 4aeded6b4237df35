// Follows subscriptions with live.js and writes its state after every change: node follow.mjs LIVE.JS URL FILTERS
// Time runs thirty times faster for live.js, and it comes back ten times sooner, so that much happens.
import { pathToFileURL } from 'node:url'

const [livejs, url, filters] = process.argv.slice(2)
const { connect } = await import(pathToFileURL(livejs))
const FASTER = 30, began = Date.now()
const live = connect({ url, random: () => Math.random() / 10, now: () => began + (Date.now() - began) * FASTER, setTimeout: (fn, ms) => setTimeout(fn, ms / FASTER), clearTimeout })
JSON.parse(filters).forEach((filter, sub) => live.subscribe('metrics/orders', filter, { interval: 2, onchange: s => {
  if (s.ready) console.log(JSON.stringify({ sub, feed: s.info.feed, seq: s.seq, rows: Object.fromEntries(s.rows) }))
} }))
