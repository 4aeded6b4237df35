// The pages there are, each with what makes it worth a look: chosen from what the shop knows.
export async function pages(shop) {
  const { alerts } = await shop.get('/v1/alerts?status=open&limit=50')
  const alert = alerts.find(a => a.entity.startsWith('customer:')) ?? alerts[0], seen = await shop.get('/v1/alerts/' + alert.id)
  const order = seen.alert.explanation?.[0]?.events?.find(e => e.order_id)?.order_id ?? JSON.stringify(seen).match(/"order_id":"([^"]+)"/)[1]
  const customer = alert.entity.slice('customer:'.length), ip = alerts.find(a => a.entity.startsWith('ip:'))
  return [
    { name: 'overview', path: '/?range=1h' },
    { name: 'funnel', path: '/funnel?range=1h' },
    { name: 'fraud', path: '/fraud/' + alert.id },
    { name: 'orders', path: '/orders' },
    { name: 'order', path: '/orders/' + order },
    { name: 'customer', path: '/customers/' + customer },
    ...(ip ? [{ name: 'entity', path: '/entities/ip/' + encodeURIComponent(ip.entity.slice(3)) }] : []),
    { name: 'rules', path: '/rules' },
    { name: 'rule', path: '/rules/' + alert.rule },
    { name: 'operations', path: '/operations' },
  ]
}

/** When a page has drawn what it asked for. */
export async function drawn(page) {
  await page.waitForSelector('h1:visible, h2:visible')
  await page.waitForLoadState('networkidle')
  await page.waitForFunction(() => !document.querySelector('[aria-busy=true], .sk'))
}
