import { expect, test } from 'bun:test'
import type { Mount } from '../oci/mounts.ts'
import { mountWarnings } from './mounts-flags.ts'

const warnings = (type: string, ...options: readonly string[]): readonly string[] =>
  mountWarnings([{ destination: '/data', type, source: '/srv', options, uidMappings: [], gidMappings: [] } as Mount])

test('words that a bind mount ignores are named, and those that it heeds are not (S39)', () => {
  expect(warnings('bind', 'rbind', 'ro', 'rprivate', 'noatime')).toEqual([])
  expect(warnings('bind', 'readonly')).toEqual(['mounts[0].options has "readonly", which a bind mount ignores'])
  expect(warnings('bind', 'size=1k,ro', 'sync')).toEqual([
    'mounts[0].options has "sync", which a bind mount ignores',
    'mounts[0].options has "size=1k", which a bind mount ignores',
    'mounts[0].options has "ro", which a bind mount ignores',
  ])
})

test('words that are for mount(8) alone, and those of new file systems, are no reason to warn', () => {
  expect(warnings('bind', 'x-systemd.automount', 'nofail', '_netdev', 'silent', 'defaults')).toEqual([])
  expect(warnings('tmpfs', 'size=1k', 'nonsense')).toEqual([])
})
