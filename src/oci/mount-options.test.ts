import { expect, test } from 'bun:test'
import { mountOptionWords, parseMountOptions } from './mount-options.ts'

const parse = (...options: string[]) => parseMountOptions({ type: 'none', options })
const nothing = {
  remount: false,
  attributes: { set: [], clear: [] },
  flags: { set: [], clear: [] },
  propagation: [],
  tmpcopyup: false,
  data: [],
}

test('no option asks for nothing, and neither does "defaults"', () => {
  expect(parse()).toEqual(nothing)
  expect(parse('defaults')).toEqual(nothing)
})

test('the options of a usual tmpfs', () => {
  expect(parse('nosuid', 'strictatime', 'mode=755', 'size=65536k')).toEqual({
    ...nothing,
    attributes: { set: ['nosuid'], clear: [], accessTime: 'strictatime' },
    data: [
      { key: 'mode', value: '755' },
      { key: 'size', value: '65536k' },
    ],
  })
})

test('a recursive word is for the mount and all below it, the plain word for the mount alone', () => {
  expect(parse('rbind', 'ro', 'rnosuid', 'rexec')).toEqual({
    ...nothing,
    bind: { recursive: true },
    attributes: { set: ['rdonly'], clear: [] },
    recursiveAttributes: { set: ['nosuid'], clear: ['noexec'] },
  })
})

test('of contradicting options the last one counts', () => {
  expect(parse('ro', 'rw', 'nodev', 'dev', 'nodev', 'async', 'sync')).toEqual({
    ...nothing,
    attributes: { set: ['nodev'], clear: ['rdonly'] },
    flags: { set: ['sync'], clear: [] },
  })
})

test('an access time replaces the one before, and leaving it goes back to relatime', () => {
  const accessTime = (...options: string[]) => parse(...options).attributes.accessTime
  expect(accessTime('noatime', 'strictatime')).toBe('strictatime')
  expect(accessTime('relatime')).toBe('relatime')
  expect(accessTime('atime')).toBe('relatime')
  expect(accessTime('noatime', 'atime')).toBe('relatime')
  expect(accessTime('noatime', 'nostrictatime')).toBe('noatime')
  expect(accessTime('relatime', 'norelatime')).toBeUndefined()
  expect(accessTime('norelatime')).toBeUndefined()
  expect(parse('ratime').recursiveAttributes).toEqual({ set: [], clear: [], accessTime: 'relatime' })
  expect(parse('rrelatime').recursiveAttributes?.accessTime).toBe('relatime')
  expect(parse('rnoatime', 'rstrictatime').recursiveAttributes?.accessTime).toBe('strictatime')
})

test('propagation keeps its order, since a slave made shared is both', () => {
  expect(parse('rslave', 'shared').propagation).toEqual([
    { type: 'slave', recursive: true },
    { type: 'shared', recursive: false },
  ])
})

test('idmap, tmpcopyup and remount are asked for by their words', () => {
  expect(parse('idmap').idmap).toEqual({ recursive: false })
  expect(parse('ridmap').idmap).toEqual({ recursive: true })
  expect(parse('tmpcopyup').tmpcopyup).toBe(true)
  expect(parse('remount').remount).toBe(true)
})

test('a mount of type bind is a bind mount without the option too', () => {
  expect(parseMountOptions({ type: 'bind', options: ['ro'] }).bind).toEqual({ recursive: false })
  expect(parseMountOptions({ type: 'bind', options: ['rbind'] }).bind).toEqual({ recursive: true })
})

test('commas in one option separate parameters, but not in quotes or after a backslash', () => {
  expect(parse('size=1k,mode=700', 'context="s0:c1,c2",x', 'lowerdir=/a\\,b:/c').data).toEqual([
    { key: 'size', value: '1k' },
    { key: 'mode', value: '700' },
    { key: 'context', value: '"s0:c1,c2"' },
    { key: 'x' },
    { key: 'lowerdir', value: '/a\\,b:/c' },
  ])
})

test('a word inside of a longer option is not that option', () => {
  expect(parse('ro,noexec').attributes).toEqual({ set: [], clear: [] })
  expect(parse('size=1k,ro').data).toEqual([{ key: 'size', value: '1k' }, { key: 'ro' }])
})

test('a word that is unknown goes to the file system', () => {
  expect(parse('newinstance', 'rnewinstance', 'rremount', 'rsync', 'acl').data.map(({ key }) => key)).toEqual([
    'newinstance',
    'rnewinstance',
    'rremount',
    'rsync',
    'acl',
  ])
})

// oci:runtime-spec/config.md "Linux mount options", the table.
const SPECIFIED =
  'async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand noatime nodev nodiratime noexec noiversion ' +
  'nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime remount rexec ridmap ' +
  'rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave ' +
  'rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable'

test('every option word of the specification is known, and no other', () => {
  expect(mountOptionWords().join(' ')).toBe(SPECIFIED)
})

test.each(SPECIFIED.split(' '))('%s is not passed to the file system', (word) => {
  expect(parse(word).data).toEqual([])
})
