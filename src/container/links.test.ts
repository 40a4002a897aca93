import { expect, test } from 'bun:test'
import { parseConfig } from '../oci/config.ts'
import { exampleDocument } from '../oci/example-config.ts'
import { behindLinks, rootLayers } from './links.ts'

/** Paths and what they are: a link to `-> TEXT`, else a file. */
function tree(paths: Readonly<Record<string, string>>): Parameters<typeof behindLinks>[0] {
  return {
    readLink: (path) => (paths[path]?.startsWith('-> ') ? paths[path].slice(3) : undefined),
    status: (path) => (path in paths ? ({} as never) : undefined),
  }
}

test('a path leads to what the links in its place name, one after the other', () => {
  const files = tree({
    '/image/etc/resolv.conf': '-> ../run/stub.conf',
    '/image/etc/absolute': '-> /etc/resolv.conf',
    '/image/etc/plain': '',
    '/image/etc/loop': '-> loop',
  })
  const leads = (path: string): string => behindLinks(files, ['/image'], path)
  expect(leads('/etc/resolv.conf')).toBe('/run/stub.conf')
  expect(leads('/etc/absolute')).toBe('/run/stub.conf')
  for (const path of ['/etc/plain', '/etc/missing', '/etc/loop']) expect(leads(path)).toBe(path)
})

test('the uppermost layer that has it counts', () => {
  const files = tree({ '/upper/etc/hosts': '', '/lower/etc/hosts': '-> /gone', '/lower/etc/name': '-> /there' })
  const leads = (path: string): string => behindLinks(files, ['/upper', '/lower'], path)
  expect(leads('/etc/hosts')).toBe('/etc/hosts')
  expect(leads('/etc/name')).toBe('/there')
})

test('what is read behind a directory that is a link is not of the image', () => {
  const files = tree({ '/image/etc': '-> /etc', '/image/etc/hosts': '-> /of/the/host' })
  expect(behindLinks(files, ['/image'], '/etc/hosts')).toBe('/etc/hosts')
})

test('a root is read by the directories of its overlay', () => {
  const overlay = {
    destination: '/',
    type: 'overlay',
    source: 'overlay',
    options: ['lowerdir=/a:/b\\:c', 'upperdir=/up'],
  }
  const layers = (...mounts: readonly object[]): readonly string[] =>
    rootLayers(parseConfig(exampleDocument({ mounts })), '/root')
  expect(layers(overlay)).toEqual(['/up', '/a', '/b:c'])
  expect(layers()).toEqual(['/root'])
})
