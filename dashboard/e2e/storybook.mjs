// Every story comes about, without an error, within its window, and without an axe violation in either theme.
import test from 'node:test'
import assert from 'node:assert/strict'
import { accessible, fits, open } from './browser.mjs'

const AT_ONCE = 2, READY = 'html[data-story=ready]'

export function storybook(at) {
  test('storybook: every state of every page is accessible', async () => {
    const { browser, shop } = at(), wrong = []
    const contents = await open(browser, shop.url + '/storybook')
    await contents.waitForSelector(READY, { state: 'attached' })
    const names = (await contents.evaluate('window.stories')).filter(n => !process.env.WEIR_STORY || n.startsWith(process.env.WEIR_STORY))
    wrong.push(...await accessible(contents, 'contents'), ...contents.wrong)
    await contents.context().close()
    assert.ok(names.length > 80 || process.env.WEIR_STORY, `only ${names.length} stories`)
    const pages = await Promise.all(Array.from({ length: AT_ONCE }, () => open(browser)))
    await Promise.all(pages.map(async page => {
      for (let name; (name = names.shift());) {
        try {
          await page.goto(`${shop.url}/storybook?story=${name}`)
          await page.waitForSelector(READY, { state: 'attached' })
          const { asked, failed } = await page.evaluate('window.story ?? { asked: [], failed: "" }')
          if (failed) wrong.push(`${name}: ${failed}`)
          if (asked.length) wrong.push(`${name}: asks for what was not recorded (npm run record): ${asked}`)
          wrong.push(...await accessible(page, name))
          await page.setViewportSize({ width: 360, height: 780 })
          await fits(page, name)
        } catch (e) { wrong.push(`${name}: ${e.message}`) } finally {
          await page.setViewportSize({ width: 1280, height: 860 })
        }
        wrong.push(...page.wrong.splice(0).map(w => `${name}: ${w}`))
      }
      await page.context().close()
    }))
    assert.deepEqual(wrong, [])
  })
}
