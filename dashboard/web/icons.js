// Line icons on a 20 × 20 grid, drawn with the text's colour.
import { html } from './html.js'

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
  code: 'M7 6l-4 4 4 4M13 6l4 4-4 4',
}

/** size: 12, 14, 16 (none) or 20; fill: a filled shape. Icons stand beside words, so they are hidden from readers. */
export const Icon = ({ name, size, fill }) => html`<svg class=${'i' + (size ? ' i-' + size : '') + (fill ? ' f' : '')} viewBox="0 0 20 20" aria-hidden="true"><path d=${PATHS[name]} /></svg>`
