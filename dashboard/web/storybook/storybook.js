// The storybook: what the dashboard looks like in every state, from canned frames. /storybook lists the stories; ?story=fraud/stale tells one: the real
// page, on a server that is not there. It is not part of what the dashboard loads.
import { render } from 'preact'
import { html } from '/html.js'
import { serve } from './server.js'
import { STATES, stories } from './stories.js'
import { Pieces } from './pieces.js'

const QUIET_MS = 200, PATIENCE_MS = 60_000
const params = new URLSearchParams(location.search), wanted = params.get('story')
const canned = await (await fetch('/storybook/canned.json')).json()
const all = stories(canned.pages)
const style = document.createElement('link')
Object.assign(style, { rel: 'stylesheet', href: '/storybook/storybook.css' })
document.head.append(style)

/** Waits until the fact holds; a story that does not come about says so. */
async function until(what, fact) {
  for (const end = performance.now() + PATIENCE_MS; ;) {
    const found = fact()
    if (found) return found
    if (performance.now() > end) throw new Error('storybook: ' + what + ' did not come about')
    await new Promise(done => setTimeout(done, 30))
  }
}

function driver(server, story) {
  const enter = (key, target) => target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))
  return {
    button: word => [...document.querySelectorAll('button')].find(b => b.textContent.trim().startsWith(word)) ?? { click() { throw new Error('storybook: there is no button ' + word) } },
    key: k => enter(k, document.body),
    focus: selector => { const e = document.querySelector(selector); e?.focus(); for (let i = 0; e && i < 3; i++) enter('ArrowLeft', e) },
    type(selector, text) { const e = document.querySelector(selector); e.value += text; e.dispatchEvent(new Event('input', { bubbles: true })) },
    away(code) { story.server.away = true; server.end(code) },
    async pause(n) {
      enter('p', document.body)
      await until('the pause', () => document.querySelector('[aria-pressed=true]') && /Paused|held/.test(document.body.innerText + [...document.querySelectorAll('[aria-label*=Paused]')].length))
      for (let i = 0; i < n; i++) server.delta()
    },
  }
}

async function tell(story) {
  for (const [name, value] of [['weir-author', story.author], ['weir-orders-seen', JSON.stringify(canned.pages.filter(p => p.name === 'order').map(p => p.path.split('/').pop()))]]) value ? localStorage.setItem(name, value) : localStorage.removeItem(name)
  const server = serve(canned, story.server), quiet = () => server.quiet() > QUIET_MS || story.server.rest === 'never'
  window.story.asked = server.asked
  history.replaceState(null, '', story.path)
  await import('/all.js')
  await until('the page', () => document.querySelector('h1, h2') && quiet() && chip().test(text()))
  await story.then?.(driver(server, story))
  story.chip && await until('the chip ' + story.chip, () => story.chip.test(document.querySelector('.fresh')?.textContent ?? '') && quiet())
  function chip() { return story.then ? STATES.live.chip : story.chip }
  function text() { return document.querySelector('.fresh')?.textContent ?? '' }
  await new Promise(done => setTimeout(done, QUIET_MS))
}

const Contents = () => html`<main class="main book" id="main">
  <div class="head"><h1>Storybook</h1><p>every page in every state, from canned frames</p><span class="sp"></span><a class="btn s" href="?story=pieces" target="_blank">Pieces</a></div>
  <section class="panel"><table class="tbl"><thead><tr><th scope="col">Page</th><th scope="col">States</th></tr></thead><tbody>${canned.pages.map(({ name }) => html`
    <tr><th scope="row">${name}</th><td>${all.filter(s => s.name.startsWith(name + '/')).map(s => html`
      <span class="told"><a class="link" href=${'?story=' + s.name} target="_blank">${s.name.split('/')[1]}</a>
      <a class="link muted sm" href=${'?theme=dark&story=' + s.name} target="_blank" aria-label=${s.name + ', dark'}>dark</a></span>`)}</td></tr>`)}</tbody></table></section></main>`

const story = all.find(s => s.name === wanted)
window.stories = [...all.map(s => s.name), 'pieces']
if (story) {
  window.story = { name: story.name, asked: [], failed: '' }
  await tell(story).catch(e => { window.story.failed = e.message })
  document.documentElement.dataset.story = 'ready'
}
else {
  document.title = 'weir · storybook'
  render(wanted === 'pieces' ? html`<${Pieces} />` : html`<${Contents} />`, document.getElementById('app'))
  document.documentElement.dataset.story = 'ready'
}
