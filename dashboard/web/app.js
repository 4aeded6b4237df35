// The shell: top bar, rail, and the page that is open.
import { render } from 'preact'
import { html } from './html.js'
import { Icon } from './icons.js'
import { Fresh } from './parts.js'
import { Overview } from './overview.js'
import { catalogue, failure, fresh, held, paused, range, choose, retry, setPaused, start } from './store.js'
import { RANGES } from './model.js'
import '@preact/signals'

const Mark = () => html`<svg viewBox="0 0 24 24" aria-hidden="true"><rect width="24" height="24" rx="6" fill="var(--accent)" /><path d="M4 8.2h5.2c3.6 0 3 7.6 6.6 7.6H20" fill="none" stroke="var(--on-accent)" stroke-width="2.2" stroke-linecap="round" /><path d="M4 12h3.6c2.6 0 2.8 7.4 6 7.4H15M10.8 4.4H12c3.4 0 3.4 7.4 6 7.4h2" fill="none" stroke="var(--on-accent)" stroke-width="1.5" stroke-linecap="round" opacity=".55" /></svg>`

function switchTheme() {
  const root = document.documentElement
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  root.dataset.theme = dark ? 'light' : 'dark'
  try { localStorage.setItem('weir-theme', root.dataset.theme) } catch { /* private windows keep nothing */ }
}

function Top() {
  return html`<header class="top">
  <a class="brand" href="/" aria-label="weir, overview"><${Mark} /><span>weir</span></a>
  ${range.value && html`<label class="btn pick"><${Icon} name="clock" /><select value=${range.value.name} onChange=${e => choose({ range: e.target.value })} aria-label="Time range, back from the newest counted event">${RANGES.map(r => html`<option value=${r.name}>${r.label}</option>`)}</select><${Icon} name="down" size="12" /></label>
  <div class="seg hide-s" role="group" aria-label="Updates">
    <button aria-pressed=${!paused.value} onClick=${() => setPaused(false)}><${Icon} name="play" size="12" fill />Live</button>
    <button aria-pressed=${paused.value} onClick=${() => setPaused(true)}><${Icon} name="pause" size="12" />${paused.value ? 'Paused' : 'Pause'}${paused.value && html`<span class="held">· ${held.value} updates held</span>`}</button>
  </div>`}
  <span class="sp"></span>
  <${Fresh} f=${fresh.value} onRetry=${retry} />
  <button class="btn ghost sq" onClick=${switchTheme} aria-label="Switch light or dark"><${Icon} name="theme" /></button>
</header>`
}

function Rail() {
  const meta = fresh.value.meta
  return html`<nav class="rail" aria-label="Main">
  <a href="/" aria-current="page" title="Overview"><${Icon} name="home" /><span>Overview</span><span class="sh" aria-hidden="true">Overview</span></a>
  <a href="/openapi.json" title="Query API"><${Icon} name="code" /><span>Query API</span><span class="sh" aria-hidden="true">API</span></a>
  ${meta && html`<div class="foot"><b>${meta.partitions.present}</b> of ${meta.partitions.expected} partitions<br /><b>${meta.lag_records}</b> records behind</div>`}
</nav>`
}

function Page() {
  if (catalogue.value) return html`<${Overview} />`
  if (failure.value) return html`<section class="panel c12 alone"><div class="body"><div class="state"><${Icon} name="warn" size="20" /><b class="b">The server could not be read</b><p class="muted">${failure.value} It is asked again by itself.</p></div></div></section>`
  return html`<div class="head"><h1>Overview</h1></div><div class="grid">${[1, 2, 3, 4, 5, 6].map(() => html`<section class="panel tile" aria-busy="true"><div class="k"> </div><div class="v"><div class="sk w"></div></div></section>`)}</div>`
}

const App = () => html`<a class="skip" href="#main">Skip to content</a><${Top} /><${Rail} /><main class="main" id="main"><${Page} /></main>`

render(html`<${App} />`, document.getElementById('app'))
start()
