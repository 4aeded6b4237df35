// Line icons on a 20 × 20 grid, drawn with the text's colour.
import { html } from './html.js'
import { SEVERITY } from './say.js'

const PATHS = {
  home: 'M3 3.5h6v7H3zM11.5 3.5H17v4h-5.5zM11.5 10.5H17v6h-5.5zM3 13.5h6v3H3z',
  theme: 'M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14',
  pause: 'M7 5v10M13 5v10',
  play: 'M6.5 4.5l9 5.5-9 5.5z',
  clock: 'M10 10m-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0M10 6v4.2l2.6 1.6',
  dot: 'M10 10m-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0',
  refresh: 'M16 6.5A7 7 0 0 0 3.6 8M4 13.5A7 7 0 0 0 16.4 12M16.3 3v3.8h-3.8M3.7 17v-3.8h3.8',
  plug: 'M7 3v4M13 3v4M5 7h10v2.5a5 5 0 0 1-10 0zM10 14.5V18',
  off: 'M3 3l14 14M5.2 9.2a8 8 0 0 1 2.3-1.5M2.6 6.6a12 12 0 0 1 2.6-1.7M9 4.1a12 12 0 0 1 8.4 2.5M12 7.6c1 .3 2 .9 2.8 1.6M7.6 12a4 4 0 0 1 3.4-.9M10 15.2v.1',
  warn: 'M10 3.5l7.3 13H2.7zM10 8.5v3.5M10 14.2v.1',
  inbox: 'M3 11l2.5-7h9L17 11v5H3zM3 11h4l1 2h4l1-2h4',
  up: 'M10 16V4.5M5.5 9L10 4.5 14.5 9',
  dn: 'M10 4v11.5M5.5 11L10 15.5 14.5 11',
  down: 'M5.5 8l4.5 4.5L14.5 8',
  flat: 'M4 10h12',
  link: 'M8.5 11.5l3-3M9 6l1.8-1.8a3.2 3.2 0 0 1 4.9 4.6L14 10.6M11 14l-1.8 1.8a3.2 3.2 0 0 1-4.9-4.6L6 9.4',
  check: 'M4 10.5l4 4 8-9',
  shield: 'M10 2.8l6 2.2v4.6c0 3.7-2.4 6.5-6 7.7-3.6-1.2-6-4-6-7.7V5zM10 7v3.2M10 12.9v.1',
  box: 'M10 2.8l6.5 3.4v7.6L10 17.2l-6.5-3.4V6.2zM3.7 6.3L10 9.7l6.3-3.4M10 9.7v7.3',
  rule: 'M4 5.5h7M15 5.5h1M4 10h1M9 10h7M4 14.5h6M14 14.5h2M13 3.8v3.4M7 8.3v3.4M12 12.8v3.4',
  x: 'M5.5 5.5l9 9M14.5 5.5l-9 9',
  plus: 'M10 4.5v11M4.5 10h11',
  search: 'M9 9m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0M13 13l3.5 3.5',
  copy: 'M7 7h9v9H7zM13 7V4H4v9h3',
  card: 'M2.5 5h15v10.5h-15zM2.5 8.5h15',
  globe: 'M10 10m-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0M3 10h14M10 3c4 4.2 4 9.8 0 14M10 3c-4 4.2-4 9.8 0 14',
  phone: 'M6 2.5h8v15H6zM9 14.8h2',
  user: 'M10 7m-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0M3.8 17c.6-3.6 3-5 6.2-5s5.6 1.4 6.2 5',
  truck: 'M2 5h9.5v9H2zM11.5 8H15l3 3v3h-6.5M5.5 15.5m-1.7 0a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0M14.5 15.5m-1.7 0a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0',
  undo: 'M7.5 4L4 7.5 7.5 11M4 7.5h7.5a4.5 4.5 0 0 1 0 9H8',
  bolt: 'M11 2.5L4.5 11.5H10l-1 6 6.5-9H10z',
  eye: 'M2 10c2-3.6 4.7-5.3 8-5.3s6 1.7 8 5.3c-2 3.6-4.7 5.3-8 5.3S4 13.6 2 10zM10 10m-2.3 0a2.3 2.3 0 1 0 4.6 0a2.3 2.3 0 1 0-4.6 0',
  filter: 'M3 5h14M6 10h8M8.5 15h3',
  draft: 'M4 16l1-4L13.5 3.5l3 3L8 15z',
  flag: 'M5 17V3.5h9l-1.5 3.5 1.5 3.5H5',
  at: 'M3 5h14v10H3zM3 5.5l7 5.5 7-5.5',
  pin: 'M10 17.5c-3.6-4-5.5-6.7-5.5-9.2a5.5 5.5 0 0 1 11 0c0 2.5-1.9 5.2-5.5 9.2zM10 8.3m-1.8 0a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0',
  share: 'M5 10m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M15 5m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M15 15m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M6.8 9.1l6.4-3.2M6.8 10.9l6.4 3.2',
  nofilter: 'M3 3l14 14M3 5h2M9 5h8M6 10h4M13 10h1M8.5 15h3',
  table: 'M3 4.5h14v11H3zM3 8.5h14M3 12h14M8 8.5v7',
  save: 'M10 3v9M6 8.5l4 4 4-4M4 16.5h12',
  zoom: 'M9 9m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0M13 13l3.5 3.5M6.8 9h4.4',
  funnel: 'M3 4h14l-5.2 6.4v5.1l-3.6 1.8v-6.9z',
  ops: 'M4.5 4.5m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M4.5 15.5m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M15.5 10m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M6.5 4.5c4 0 3.5 5.5 7 5.5M6.5 15.5c4 0 3.5-5.5 7-5.5',
  topic: 'M3 5h14M3 10h14M3 15h9',
  group: 'M10 3l6.5 3.5L10 10 3.5 6.5zM3.5 10l6.5 3.5 6.5-3.5M3.5 13.5L10 17l6.5-3.5',
  db: 'M10 5m-6 0a6 2.4 0 1 0 12 0a6 2.4 0 1 0-12 0M4 5v10c0 1.3 2.7 2.4 6 2.4s6-1.1 6-2.4V5M4 10c0 1.3 2.7 2.4 6 2.4s6-1.1 6-2.4',
  server: 'M3 4h14v5H3zM3 11h14v5H3zM6 6.5h.01M6 13.5h.01',
  code: 'M7 6l-4 4 4 4M13 6l4 4-4 4',
}

export const PATH = PATHS

/** size: 12, 14, 16 (none) or 20; fill: a filled shape. Icons stand beside words, so they are hidden from readers. */
export const Icon = ({ name, size, fill }) => html`<svg class=${'i' + (size ? ' i-' + size : '') + (fill ? ' f' : '')} viewBox="0 0 20 20" aria-hidden="true"><path d=${PATHS[name]} /></svg>`

// The severities: each has a shape of its own, beside its colour and its word.
const SHAPES = {
  crit: html`<path d="M4.3 .8h5.4l3.5 3.5v5.4l-3.5 3.5H4.3L.8 9.7V4.3z" fill="currentColor" /><path d="M7 3.8v3.6M7 9.9v.2" stroke="var(--surface)" stroke-width="1.7" stroke-linecap="round" />`,
  high: html`<path d="M7 1.2l6.2 11.3H.8z" fill="currentColor" stroke="currentColor" stroke-linejoin="round" />`,
  med: html`<path d="M7 1l6 6-6 6-6-6z" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round" /><path d="M7 1l6 6-6 6z" fill="currentColor" />`,
  low: html`<circle cx="7" cy="7" r="4.6" fill="none" stroke="currentColor" stroke-width="1.6" />`,
}
/** bare: the shape alone, where the word stands beside it anyway. */
export const Severity = ({ of, bare }) => {
  const [name, word] = SEVERITY[of] ?? SEVERITY.low
  return html`<span class=${'sev ' + name}><svg viewBox="0 0 14 14" aria-hidden="true">${SHAPES[name]}</svg>${!bare && word}</span>`
}
