// What the server says of flow, in words and by partition. Pure.
import { number, short } from './format.js'

export const plain = name => name.replace(/^.*weir-/, '')
export const perSecond = v => v == null ? '–' : v > 0 && v < 0.05 ? '< 0.1/s' : (v < 10 ? number(v, 1) : Object.values(short(v)).join('')) + '/s'
export const records = n => Object.values(short(n)).join('')
export const STATES = { running: ['run', 'Running'], catching_up: ['rec', 'Catching up'], recovering: ['rec', 'Recovering'], rebalancing: ['rec', 'Rebalancing'], stalled: ['slow', 'Stalled'], unowned: ['sb', 'Unread'] }
export const WORST = ['unowned', 'stalled', 'rebalancing', 'catching_up', 'running']

/** What a group's inputs say of each partition: {p, instance, lag, state, inputs}. The worst of them counts. */
export function partitionsOf(group) {
  const by = new Map()
  for (const input of group?.partitions ?? []) {
    let p = by.get(input.partition)
    if (!p) by.set(input.partition, p = { p: input.partition, instance: '', lag: 0, state: 'running', inputs: [] })
    if (input.committed_offset < 0 && input.end_offset === 0 && input.state === 'unowned') continue
    p.instance ||= input.instance
    p.lag += input.lag_records
    p.inputs.push(input)
    if (WORST.indexOf(input.state) < WORST.indexOf(p.state)) p.state = input.state
  }
  return [...by.values()].sort((a, b) => a.p - b.p)
}
