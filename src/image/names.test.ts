import { expect, test } from 'bun:test'
import type { Descriptor } from '../oci/image.ts'
import { NAME_ANNOTATION } from './layout.ts'
import { addName, nameOf, removeImage, removeName } from './names.ts'

const image = (letter: string): Descriptor => ({
  mediaType: 'manifest',
  digest: `sha256:${letter.repeat(64)}`,
  sizeBytes: 1,
  annotations: {},
})
const [A, B] = [image('a'), image('b')]
const shown = (entries: readonly Descriptor[]): readonly string[] =>
  entries.map((entry) => `${entry.digest[7]} ${nameOf(entry) ?? '-'}`)

test('an image has several names', () => {
  expect(shown(addName(addName([], A, 'one'), A, 'two'))).toEqual(['a one', 'a two'])
})

test('a name moves to the image that got it last, and the other image stays without one', () => {
  expect(shown(addName(addName([], A, 'one'), B, 'one'))).toEqual(['a -', 'b one'])
})

test('an image without a name gets one, and is not there twice', () => {
  const unnamed = addName([], A, undefined)
  expect(shown(addName(unnamed, A, 'one'))).toEqual(['a one'])
  expect(shown(addName(addName(unnamed, A, 'one'), A, undefined))).toEqual(['a one'])
})

test('the last name that is taken away leaves the image, another one leaves nothing', () => {
  const both = addName(addName([], A, 'one'), A, 'two')
  expect(shown(removeName(both, 'one'))).toEqual(['a two'])
  expect(shown(removeName(removeName(both, 'one'), 'two'))).toEqual(['a -'])
})

test('an image goes with all its names', () => {
  expect(shown(removeImage(addName(addName(addName([], A, 'one'), A, 'two'), B, 'three'), A.digest))).toEqual([
    'b three',
  ])
})

test('other annotations stay', () => {
  const entry = { ...A, annotations: { other: 'kept', [NAME_ANNOTATION]: 'old' } }
  expect(addName([], entry, 'one')[0]?.annotations).toEqual({ other: 'kept', [NAME_ANNOTATION]: 'one' })
})
