/** Limits of controllers that docker has no flags for: hugetlb, rdma, net_cls, net_prio. */

import type { IntentResources } from '../engine/intent-resources.ts'
import { type Asked, pairsOf, parseBytes, wrong } from './values.ts'

type Beyond = Pick<IntentResources, 'hugepages' | 'rdma' | 'netClass' | 'netPriorities'>

export const beyondDocker = (asked: Asked): Beyond => ({
  hugepages: some(pairsOf(asked, 'hugetlb'), ([size, word]) => hugepagesOf(asked, size, word)),
  rdma: some(pairsOf(asked, 'rdma'), ([device, word]) => ({ device, ...rdmaOf(asked, device, word) })),
  netClass: classOf(asked),
  netPriorities: some(pairsOf(asked, 'net-priority'), ([name, word]) => {
    if (!/^\d{1,9}$/.test(word)) throw wrong(asked, 'net-priority', `${name}=${word}`, 'write it like eth0=5')
    return { name, priority: Number(word) }
  }),
})

function some<Value>(
  pairs: Readonly<Record<string, string>>,
  read: (pair: readonly [string, string]) => Value,
): readonly Value[] | undefined {
  const entries = Object.entries(pairs)
  return entries.length === 0 ? undefined : entries.map(read)
}

/** Sizes of pages as the kernel's files have them: kernel:admin-guide/cgroup-v1/hugetlb.rst */
function hugepagesOf(asked: Asked, size: string, word: string): { pageSize: string; limit: number } {
  const limit = parseBytes(word)
  if (!/^\d+[KMG]B$/.test(size) || limit === undefined)
    throw wrong(asked, 'hugetlb', `${size}=${word}`, 'write it like 2MB=64m')
  return { pageSize: size, limit }
}

function rdmaOf(asked: Asked, device: string, word: string): { handles?: number; objects?: number } {
  const limits = word.split(',').map((part) => /^(handles|objects)=(\d{1,9})$/.exec(part))
  if (limits.includes(null))
    throw wrong(asked, 'rdma', `${device}=${word}`, 'write it like mlx5_0=handles=2,objects=2000')
  return Object.fromEntries(limits.map((found) => [found?.[1] ?? '', Number(found?.[2])]))
}

/** A handle of tc(8), `10:1`, or its number. */
function classOf(asked: Asked): number | undefined {
  const word = asked.given.string('net-class')
  if (word === undefined) return undefined
  const [, major, minor] = /^([\da-f]{1,4}):([\da-f]{1,4})$/i.exec(word) ?? []
  const number =
    major === undefined
      ? Number(/^(0x[\da-f]{1,8}|\d{1,10})$/i.exec(word)?.[0])
      : Number(`0x${major}${minor?.padStart(4, '0')}`)
  if (Number.isNaN(number) || number > 0xffff_ffff)
    throw wrong(asked, 'net-class', word, 'write it as tc(8) does, 10:1, or as a number, 0x100001')
  return number
}
