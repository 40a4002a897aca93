import { expect, test } from 'bun:test'
import { groupsOf, resolveGroups, resolveUser } from './users.ts'

const database = {
  passwd: `root:x:0:0:root:/root:/bin/sh
+nis
# comment
web:x:33:33:www:/srv:/usr/sbin/nologin
broken:x:a:b
1000:x:0:0:trap:/:/bin/sh
-1:x:0:0:trap:/:/bin/sh
4294967296:x:0:0:trap:/:/bin/sh
1e3:x:0:0:trap:/:/bin/sh
0x0:x:0:0:trap:/:/bin/sh
 0:x:0:0:trap:/:/bin/sh
nohome:x:50:50::
`,
  group: `root:x:0:
www:x:33:
video:x:44:web,root
audio:x:29:web
wheel:x:10:root
`,
}

const ids = (request: string): string => {
  try {
    const { uid, gid, additionalGids, home } = resolveUser(request, database)
    return [uid, gid, `[${additionalGids}]`, home].join(' ')
  } catch (error) {
    return String((error as Error).message)
  }
}

test('a user by name has the group, home and additional groups of the files', () => {
  expect(ids('web')).toBe('33 33 [44,29] /srv')
  expect(ids('root')).toBe('0 0 [44,10] /root')
})

test('a uid has what its line says, and gid 0 where there is none', () => {
  expect(ids('33')).toBe('33 33 [44,29] /srv')
  expect(ids('12345')).toBe('12345 0 [] /')
})

test('nobody named means root', () => {
  expect(ids('')).toBe('0 0 [44,10] /root')
})

test('a group that is named takes the place of all groups of the files', () => {
  expect(ids('web:video')).toBe('33 44 [] /srv')
  expect(ids('web:777')).toBe('33 777 [] /srv')
  expect(ids('1:2')).toBe('1 2 [] /')
  expect(ids('33:')).toBe('33 33 [44,29] /srv')
})

test('a text that looks like a number is that number or refused, whatever the file calls so', () => {
  expect(ids('1000')).toBe('1000 0 [] /')
  const refused = [
    '4294967295',
    '4294967296',
    '2147483648',
    '-1',
    '1e3',
    '0x0',
    ' 0',
    '00',
    '99999999999999999999',
    '0\n',
  ]
  for (const request of refused) expect(ids(request)).toStartWith(`cannot run as user ${JSON.stringify(request)}: `)
  expect(ids('2147483647')).toBe('2147483647 0 [] /')
})

test('an unknown name is an error that says which file', () => {
  expect(ids('nobody')).toBe(
    'cannot run as user "nobody": unable to find user nobody: no matching entries in passwd file of the container',
  )
  expect(ids('web:staff')).toBe(
    'cannot run as user "web:staff": unable to find group staff: no matching entries in group file of the container',
  )
})

test('a line of the wrong shape is passed over', () => {
  expect(ids('broken')).toContain('unable to find user broken')
  expect(ids('+nis')).toContain('unable to find user +nis')
})

test('without files ids work, and names do not', () => {
  expect(resolveUser('7:8', {})).toEqual({ uid: 7, gid: 8, home: '/', additionalGids: [] })
  expect(() => resolveUser('root', {})).toThrow('unable to find user root')
})

test('groups are taken by name or number', () => {
  expect(resolveGroups(['video', '12'], database)).toEqual([44, 12])
  expect(groupsOf('web', database)).toEqual([44, 29])
})

test('files larger than anyone needs are refused', () => {
  expect(() => resolveUser('web', { passwd: 'x'.repeat(5 << 20) })).toThrow(
    'cannot read /etc/passwd: it has more than 4 MiB',
  )
  expect(() => resolveUser('web', { passwd: `web:x:1:1:${'x'.repeat(1 << 17)}` })).toThrow('64 KiB in one line')
})
