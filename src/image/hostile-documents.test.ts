/** Names, digests and documents of images as somebody writes them who wants something else. */

import { describe, expect, test } from 'bun:test'
import { OperationError } from '../base/errors.ts'
import { parseJson } from '../base/json.ts'
import { readImageConfig, readIndex, readManifest } from '../oci/image.ts'
import { blobPath } from './layout.ts'
import { familiarName, isDigest, parseReference } from './reference.ts'
import { parseChallenges } from './registry-auth.ts'

/** The same numbers each time: xorshift32. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const invalidOr = <Value>(read: () => Value): Value | undefined => {
  try {
    return read()
  } catch (error) {
    if (error instanceof OperationError && (error.kind === 'invalid' || error.kind === 'unsupported')) return undefined
    throw error
  }
}

describe('a digest is a word and digits, and so a name of a file (S149)', () => {
  const hex = 'a'.repeat(64)
  test('whatever else is there is none', () => {
    const wrong = [
      'sha256:../../x',
      `sha256:${hex.toUpperCase()}`,
      'sha256:',
      `sha256:${hex.slice(1)}`,
      `sha256:${hex}a`,
      `md5:${hex}`,
      `sha256:${hex}\n`,
      `\nsha256:${hex}`,
      `sha256:${hex}\0`,
      `sha256:${hex.slice(3)}%2f`,
      `sha512:${hex}`,
      `SHA256:${hex}`,
      '__proto__',
    ]
    expect(wrong.filter(isDigest)).toEqual([])
    for (const digest of wrong) {
      const descriptor = { mediaType: 'x', digest, size: 1 }
      const manifest = { schemaVersion: 2, config: { ...descriptor, digest: `sha256:${hex}` }, layers: [descriptor] }
      expect(invalidOr(() => readIndex(JSON.stringify({ manifests: [descriptor] }), 'it'))).toBeUndefined()
      expect(invalidOr(() => readManifest(JSON.stringify(manifest), 'it'))).toBeUndefined()
      expect(invalidOr(() => readImageConfig(JSON.stringify({ rootfs: { diff_ids: [digest] } }), 'it'))).toBeUndefined()
    }
    expect([`sha256:${hex}`, `sha512:${hex}${hex}`].every(isDigest)).toBe(true)
    expect(blobPath('/root', `sha256:${hex}`)).toBe(`/root/images/blobs/sha256/${hex}`)
  })
})

describe('a name of an image', () => {
  // The grammar of distribution/reference, written down once more.
  const label = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?'
  const domain = `(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`
  const part = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
  const GRAMMAR = new RegExp(`^(?:(${domain})/)?${part}(?:/${part})*(?::\\w[\\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`)
  const isName = (text: string): boolean => {
    if (!GRAMMAR.test(text)) return false
    const first = text.slice(0, Math.max(0, text.indexOf('/')))
    // A first part that is no address belongs to the path, which has small letters.
    return /[.:]|^localhost$|[A-Z]/.test(first) || new RegExp(`^${part}(?:/${part})*[:@]?`).test(text)
  }

  test('is read as the grammar says, of 50,000 texts that are nearly one (S150)', () => {
    const random = randomFrom(7)
    const letters = [
      'a',
      'b0',
      'Z',
      '.',
      '..',
      '_',
      '__',
      '___',
      '-',
      '--',
      '/',
      '//',
      ':',
      ':80',
      '@',
      ' ',
      '%2e',
      'é',
      '\0',
      '\n',
      'localhost',
      `@sha256:${'a'.repeat(64)}`,
    ]
    let accepted = 0
    for (let round = 0; round < 50_000; round++) {
      const text = Array.from({ length: 1 + random(6) }, () => letters[random(letters.length)]).join('')
      const read = invalidOr(() => parseReference(text))
      if (read !== undefined) {
        accepted++
        expect(parseReference(familiarName(read))).toEqual(read)
        expect(`${read.repository}/`.includes('../') || read.repository.startsWith('/')).toBe(false)
      }
      if ((read !== undefined) !== isName(text)) throw new Error(`${JSON.stringify(text)} is ${read ? '' : 'not '}read`)
    }
    expect(accepted).toBeGreaterThan(1000)
  }, 60_000)

  test('has an end (S150)', () => {
    expect(invalidOr(() => parseReference('a'.repeat(246)))).toBeUndefined()
    expect(invalidOr(() => parseReference(`a:${'t'.repeat(129)}`))).toBeUndefined()
    expect(parseReference(`a:${'t'.repeat(128)}`).tag?.length).toBe(128)
    for (const text of ['a'.repeat(1 << 20), 'a-'.repeat(1 << 20), 'a.'.repeat(1 << 20), `${'a/'.repeat(1 << 20)}A`])
      expect(invalidOr(() => parseReference(text))).toBeUndefined()
  })
})

describe('a document of an image', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const descriptor = { mediaType: 'application/x', digest, size: 5, annotations: { a: 'b' } }
  const SEEDS: readonly (readonly [object, (text: string) => unknown])[] = [
    [
      {
        schemaVersion: 2,
        manifests: [{ ...descriptor, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } }],
      },
      (text) => readIndex(text, 'it'),
    ],
    [
      { schemaVersion: 2, mediaType: 'x', config: descriptor, layers: [descriptor] },
      (text) => readManifest(text, 'it'),
    ],
    [
      {
        os: 'linux',
        architecture: 'amd64',
        created: '2020-01-01T00:00:00Z',
        config: {
          User: 'a',
          Env: ['A=b'],
          Cmd: ['x'],
          Labels: { a: 'b' },
          Volumes: { '/v': {} },
          ExposedPorts: { '80/tcp': {} },
          Healthcheck: { Test: ['CMD', 'x'], Interval: 5 },
        },
        rootfs: { type: 'layers', diff_ids: [digest] },
        history: [{ created_by: 'x', empty_layer: true }],
      },
      (text) => readImageConfig(text, 'it'),
    ],
  ]
  const VALUES: readonly unknown[] = [
    null,
    true,
    -1,
    1.5,
    1e300,
    '',
    'x'.repeat(5000),
    [],
    {},
    [[]],
    { a: [] },
    2 ** 53,
    '\0',
    '../..',
  ]

  /** One value of the document is another one, or none. */
  function changed(value: unknown, random: (below: number) => number): unknown {
    if (typeof value !== 'object' || value === null || random(3) === 0) return VALUES[random(VALUES.length)]
    const keys = Object.keys(value)
    const key = keys[random(keys.length)]
    if (key === undefined) return VALUES[random(VALUES.length)]
    if (Array.isArray(value)) return value.map((one, at) => (`${at}` === key ? changed(one, random) : one))
    const { [key]: old, ...others } = value as Record<string, unknown>
    return random(4) === 0 ? others : { ...others, [key]: changed(old, random) }
  }

  test('is read or refused, of 50,000 that are nearly one (S174)', () => {
    const random = randomFrom(11)
    let refused = 0
    for (let round = 0; round < 50_000; round++) {
      const [seed, read] = SEEDS[round % SEEDS.length] as (typeof SEEDS)[number]
      const text = JSON.stringify(changed(seed, random)) ?? ''
      const cut = random(10) === 0 ? text.slice(0, random(text.length + 1)) : text
      if (invalidOr(() => read(cut)) === undefined) refused++
    }
    expect(refused).toBeGreaterThan(10_000)
    expect(refused).toBeLessThan(45_000)
  }, 60_000)

  test('in the first schema of docker is refused by name (S174)', () => {
    const old = { schemaVersion: 1, name: 'a', tag: 'b', fsLayers: [{ blobSum: digest }], history: [] }
    expect(() => readManifest(JSON.stringify(old), 'it')).toThrow('schemaVersion is not 2')
  })

  test('keeps keys of the prototype of objects as keys, and changes no other object (S156, S308)', () => {
    const text = '{"config": {"Labels": {"__proto__": "a", "constructor": "b"}, "__proto__": {"User": "root"}}}'
    const { process } = readImageConfig(text, 'it')
    expect(Object.entries(process.labels)).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ])
    expect(process.user).toBeUndefined()
    expect(({} as Record<string, unknown>).User).toBeUndefined()
    // Of equal keys the last one holds.
    expect(readImageConfig('{"author": "a", "author": "b"}', 'it').author).toBe('b')
  })
})

describe('what is not JSON is refused in a time that grows with it', () => {
  /** Milliseconds of processor time, as others run here as well. */
  const took = (read: () => unknown): number => {
    const begin = process.cpuUsage()
    invalidOr(read)
    const { user, system } = process.cpuUsage(begin)
    return (user + system) / 1000
  }
  const tails: Readonly<Record<string, string>> = { quotes: '\\"', escapes: '"\\\\', digits: '12345678901234567 ' }
  for (const [name, tail] of Object.entries(tails))
    test(`a long number and ${name} without end (S309)`, () => {
      const text = (count: number): string => `{"a": 12345678901234567890, "b": ${tail.repeat(count)}`
      took(() => parseJson(text(1000), 'it'))
      const fastest = (count: number): number =>
        Math.min(...Array.from({ length: 5 }, () => took(() => parseJson(text(count), 'it'))))
      // Twenty times as much; looked for from each quote on it would be 400 times.
      expect(fastest(100_000) / Math.max(1, fastest(5000))).toBeLessThan(150)
    })

  test('a header of a registry (S309)', () => {
    for (const tail of ['Bearer a="\\', 'a=b,', ' ,', 'a="', '"\\"'])
      expect(parseChallenges(tail.repeat(4000)).length).toBeLessThan(10_000)
  })
})
