import { describe, expect, test } from 'bun:test'
import { canonicalName, familiarName, parseReference } from './reference.ts'

const DIGEST = `sha256:${'ab'.repeat(32)}`

describe('a name stands for', () => {
  const names: Readonly<Record<string, string>> = {
    busybox: 'docker.io/library/busybox:latest',
    'busybox:1.36': 'docker.io/library/busybox:1.36',
    'library/busybox': 'docker.io/library/busybox:latest',
    'owner/name': 'docker.io/owner/name:latest',
    'ghcr.io/owner/name:v1': 'ghcr.io/owner/name:v1',
    'localhost/name': 'localhost/name:latest',
    'localhost:5000/name:1': 'localhost:5000/name:1',
    '[::1]:5000/name': '[::1]:5000/name:latest',
    [`busybox@${DIGEST}`]: `docker.io/library/busybox@${DIGEST}`,
    [`busybox:1@${DIGEST}`]: `docker.io/library/busybox:1@${DIGEST}`,
    'docker.io/busybox': 'docker.io/library/busybox:latest',
    'a/b/c__d': 'docker.io/a/b/c__d:latest',
  }
  for (const [text, whole] of Object.entries(names))
    test(`${text} > ${whole}`, () => {
      expect(canonicalName(parseReference(text))).toBe(whole)
    })
})

test('what a person wrote short is shown short', () => {
  const shown = ['busybox', 'owner/name:1', 'ghcr.io/a/b', `busybox@${DIGEST}`].map((text) =>
    familiarName(parseReference(text)),
  )
  expect(shown).toEqual(['busybox:latest', 'owner/name:1', 'ghcr.io/a/b:latest', `busybox@${DIGEST}`])
})

describe('no name is', () => {
  const wrong = [
    '',
    'Busybox',
    'a//b',
    '/a',
    'a/',
    'a:',
    'a:b:c',
    'a@sha256:1',
    'a..b',
    '-a',
    'a:-b',
    'a b',
    '../a',
    'a\n',
    `${'a'.repeat(256)}`,
  ]
  for (const text of wrong)
    test(JSON.stringify(text.slice(0, 20)), () => {
      expect(() => parseReference(text)).toThrow('cannot read the image name')
    })
})
