import { expect, test } from 'bun:test'
import { parseSubIds } from './subids.ts'

const file = `# comment
alice:100000:65536
1000:300000:1000
bob:200000:65536
alice:400000:10
alice:x:10
alice:500000
alice:600000:0
alice:4294967290:100
`

test('ranges of a user are found by name and by uid', () => {
  expect(parseSubIds(file, { uid: 1000, name: 'alice' })).toEqual([
    { hostId: 100000, size: 65536 },
    { hostId: 300000, size: 1000 },
    { hostId: 400000, size: 10 },
  ])
})

test('a user without a name is found by uid alone', () => {
  expect(parseSubIds(file, { uid: 1000 })).toEqual([{ hostId: 300000, size: 1000 }])
})

test('a name that is another user’s uid gets no range of that user', () => {
  expect(parseSubIds('1000:1:1\n', { uid: 5, name: '1000x' })).toEqual([])
})
