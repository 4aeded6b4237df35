// The shell: top bar, rail, and the page that the address names.
import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { html } from './html.js'
import { Icon } from './icons.js'
import { Dialog, Fresh, State } from './parts.js'
import { Filters, RangePicker, Updates, View } from './controls.js'
import { Overview } from './overview.js'
import { Funnel } from './funnel.js'
import { Notice, Who, askWho, useKeys } from './notice.js'
import { catalogue, failure, fresh, held, local, me, open, overTime, paused, range, setPaused, start } from './store.js'
import { go, route } from './router.js'
import { number } from './format.js'
import { signal } from '@preact/signals'

const Mark = () => html`<svg viewBox="0 0 24 24" aria-hidden="true"><rect width="24" height="24" rx="6" fill="var(--accent)" />
    <path d="M4 8.2h5.2c3.6 0 3 7.6 6.6 7.6H20" fill="none" stroke="var(--on-accent)" stroke-width="2.2" stroke-linecap="round" />
    <path d="M4 12h3.6c2.6 0 2.8 7.4 6 7.4H15M10.8 4.4H12c3.4 0 3.4 7.4 6 7.4h2" fill="none" stroke="var(--on-accent)" stroke-width="1.5" stroke-linecap="round" opacity=".55" /></svg>`

function switchTheme() {
  const root = document.documentElement
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  root.dataset.theme = dark ? 'light' : 'dark'
  try { localStorage.setItem('weir-theme', root.dataset.theme) } catch { /* private windows keep nothing */ }
}

function Top({ timed }) {
  const [viewing, view] = useState(false)
  return html`<header class="top">
  <a class="brand" href=${overTime('')} aria-label="weir, overview"><${Mark} /><span>weir</span></a>
  ${timed && range.value && html`<${RangePicker} />`}
  <${Updates} hide />
  ${timed && range.value && html`<span class="vr"></span><${Filters} />`}
  <span class="sp"></span>
  ${!timed && html`<button class="btn ghost sq only-s" aria-pressed=${paused.value} onClick=${() => setPaused(!paused.value)} aria-label=${paused.value ? `Paused, ${held.value} updates held; resume` : 'Pause updates'}><${Icon} name=${paused.value ? 'play' : 'pause'} /></button>`}
  <${Chip} onOpen=${() => view(true)} />
  ${me.value && html`<button class="btn ghost sq hide-s" onClick=${askWho} aria-label=${'You are ' + me.value + '; change'} title=${me.value}>
      <span class="who">${[...me.value][0].toUpperCase()}</span></button>`}
  <button class="btn ghost sq" onClick=${switchTheme} aria-label="Switch light or dark"><${Icon} name="theme" /></button>
  ${viewing && html`<${View} onClose=${() => view(false)} overTime=${timed} />`}
</header>`
}
// Apart, since it changes more often than what is around it.
const Chip = ({ onOpen }) => html`<${Fresh} f=${fresh.value} onOpen=${onOpen} />`

const PAGES = [['', 'Overview', 'home', 'Overview'], ['funnel', 'Funnel', 'funnel', 'Funnel'], ['fraud', 'Fraud', 'shield', 'Fraud'], ['orders', 'Orders', 'box', 'Orders'], ['rules', 'Rules', 'rule', 'Rules'], ['operations', 'Operations', 'ops', 'Ops']]

const TIMED = ['', 'funnel'] // the pages over time

function Rail({ page }) {
  const meta = fresh.value.meta, n = open.value?.total
  return html`<nav class="rail" aria-label="Main">
  ${PAGES.map(([name, word, icon, brief]) => html`<a href=${TIMED.includes(name) ? overTime(name) : '/' + name} aria-current=${page === name ? 'page' : null} title=${word}>
      <${Icon} name=${icon} /><span>${word}</span>
      <span class="sh" aria-hidden="true">${brief}</span>${name === 'fraud' && n > 0 && html`<span class="n">${n > 999 ? '999+' : number(n)}
      <span class="sr"> open alerts</span></span>`}</a>`)}
  <a href="/openapi.json" title="Query API"><${Icon} name="code" /><span>Query API</span><span class="sh" aria-hidden="true">API</span></a>
  ${meta && html`<div class="foot"><b>${meta.partitions.present}</b> of ${meta.partitions.expected} partitions<br />
      <b>${number(meta.lag_records)}</b> records behind</div>`}
</nav>`
}

// A page's component, or how it is had: scripts of pages are loaded when they are gone to.
const entity = () => import('./entity.js').then(m => m.Entity)
const VIEWS = {
  '': Overview, funnel: Funnel, customers: entity, entities: entity,
  fraud: () => import('./fraud.js').then(m => m.Fraud), orders: () => import('./order.js').then(m => ({ id }) => id ? html`<${m.Order} />` : html`<${m.Orders} />`),
  rules: () => import('./rules.js').then(m => m.Rules), operations: () => import('./operations.js').then(m => m.Operations),
}
const loaded = signal({ '': Overview, funnel: Funnel }) // page → its component, or the error that it could not be had by

async function load(page) {
  let got
  try { got = await VIEWS[page]() } catch (e) { got = e }
  loaded.value = { ...loaded.value, [page]: got }
}
const NAMES = { '': 'Overview', funnel: 'Funnel', fraud: 'Fraud', orders: 'Orders', customers: 'Customers', entities: 'Entities', rules: 'Rules', operations: 'Operations' }

function Page() {
  const { path } = route.value, [page, id] = path
  useEffect(() => { document.title = [id, NAMES[page], 'weir'].filter(Boolean).join(' · ') }, [page, id])
  const had = loaded.value[page], View = VIEWS[page]
  useEffect(() => { if (View && !had) load(page) }, [page])
  if (!View) return html`<main class="main" id="main" tabindex="-1"><div class="head"><h1>Nothing here</h1></div><section class="panel alone"><div class="body">
      <${State} icon="inbox" title="There is no such page"><a class="link" href="/">Overview</a><//></div></section></main>`
  if (!catalogue.value || !had) return html`<main class="main" id="main" tabindex="-1">${failure.value ? html`<section class="panel alone"><div class="body">
      <${State} icon="warn" title="The server could not be read">${failure.value} It is asked again by itself.<//></div></section>`
    : html`<div class="head"><h1>${NAMES[page]}</h1></div>
        <div class="grid">${[1, 2, 3, 4, 5, 6].map(() => html`<section class="panel tile" aria-busy="true"><div class="k"> </div><div class="v">
        <div class="sk w"></div></div></section>`)}</div>`}</main>`
  if (had instanceof Error) return html`<main class="main" id="main" tabindex="-1"><section class="panel alone"><div class="body">
      <${State} icon="warn" title="This page could not be loaded" action=${html`<button class="btn s" onClick=${() => location.reload()}>Reload</button>`}>The server does not answer, or it is of another version than this page.<//></div></section></main>`
  return html`<${had} key=${page} id=${id} />`
}

const KEYS = [[['j', 'k'], 'next, previous alert'], [['Enter'], 'open the alert'], [['a'], 'acknowledge'], [['f'], 'false positive'], [['c'], 'confirm fraud'], [['s'], 'snooze'], [['e'], 'close'], [['r'], 'reopen'],
  [['i'], 'assign to me'], [['x'], 'select for all'], [['u'], 'undo, while offered'], [['/'], 'search'], [['p'], 'pause or resume'], [['g', 'o'], 'go to Overview'], [['g', 'n'], 'go to Funnel'], [['g', 'f'], 'go to Fraud'], [['g', 'r'], 'go to Rules'], [['g', 'p'], 'go to Operations'], [['?'], 'this list'], [['←', '→'], 'walk a chart'], [['Esc'], 'close, back']]

function App() {
  const [keys, showKeys] = useState(false), [page] = route.value.path
  useKeys({ '?': () => showKeys(true), p: () => setPaused(!paused.value), 'g o': () => go(overTime('')), 'g n': () => go(overTime('funnel')), 'g f': () => go('/fraud'), 'g r': () => go('/rules'), 'g p': () => go('/operations'), 'g d': () => go('/orders') })
  return html`<a class="skip" href="#main">Skip to content</a><${Top} timed=${TIMED.includes(page)} />
      <${Rail} page=${page === 'customers' || page === 'entities' ? 'orders' : page} /><${Page} key=${local.value} /><${Notice} /><${Who} />
  ${keys && html`<${Dialog} title="Keyboard" onClose=${() => showKeys(false)} wide><dl class="keysheet-l">${KEYS.map(([k, what]) => html`<div>
      <dt>${k.map(x => html`<span class="kbd">${x}</span>`)}</dt><dd>${what}</dd></div>`)}</dl><//>`}`
}

render(html`<${App} />`, document.getElementById('app'))
start()
