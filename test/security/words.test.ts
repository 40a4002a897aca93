/** What TypeScript itself brings along: prototypes, regular expressions, paths as text, and numbers beyond 2^53. */

import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'
import ts from 'typescript'
import { assemble } from '../../src/executor/assemble.ts'
import { utf8 } from '../../src/linux/bytes.ts'
import { setInteger64 } from '../../src/linux/rlimits.ts'

const root = join(import.meta.dir, '..', '..')
const sources = [...new Glob('src/**/*.ts').scanSync(root)].filter((path) => !path.endsWith('.test.ts')).sort()

function nodesOf(path: string, visit: (node: ts.Node) => void): void {
  const each = (node: ts.Node): void => {
    visit(node)
    ts.forEachChild(node, each)
  }
  each(ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true))
}

describe('a word that every object knows is a word like others (S308)', () => {
  const WORDS = ['constructor', '__proto__', 'toString', 'valueOf', 'hasOwnProperty']
  const COMMANDS = [
    'W',
    'container W',
    'volume W',
    'network W',
    'image W',
    'completion W',
    'help W',
    'cgroup W',
    'pull --platform linux/W x',
    'ps --filter W=1',
    'ps --filter status=W',
    'images --filter W=1',
    'inspect --type W x',
    'kill --signal W x',
    'run --W x',
    'run --pull W x',
    'run --runtime W x',
    'network create --opt W=1 x',
    'volume create --driver W',
  ]
  for (const command of COMMANDS)
    test(`coffer ${command}`, () => {
      for (const word of WORDS) {
        const { exitCode, stdout, stderr } = Bun.spawnSync(
          [join(root, 'dist', 'coffer'), ...command.replace('W', word).split(' ')],
          {
            env: {
              PATH: process.env.PATH ?? '',
              COFFER_DATA_ROOT: '/dev/null/none',
              COFFER_RUN_ROOT: '/dev/null/none',
            },
          },
        )
        const said = `${stdout}${stderr}`
        expect([word, exitCode > 0, said]).toEqual([word, true, expect.stringMatching(/(^|\n)(error|unknown|coffer)/)])
        expect(said).not.toMatch(/TypeError|\[object|function|native code/)
      }
    })
})

describe('regular expressions', () => {
  const REPEATS = 1 << 12
  /** Those that see only what another one has let through, or what this machine says of itself. */
  const BOUNDED: readonly string[] = [
    // Durations and numbers, taken apart behind an anchored expression.
    '/(\\d+(\\.\\d+)?)(h|ms|us|ns|m|s)/g',
    '/(\\d+(?:\\.\\d+)?)(ns|us|µs|ms|s|m|h)/g',
    '/\\d+[smh]/g',
    // Nine digits at most.
    '/0+$/',
    // A text that is JSON.
    '/"[^"\\\\]*(?:\\\\.[^"\\\\]*)*"|-?(?:0|[1-9]\\d*)(?:\\.\\d+)?(?:[eE][+-]?\\d+)?/g',
    // The home directories of /etc/passwd.
    '/\\/+$/',
  ]

  const literals = new Map<string, string>()
  for (const path of sources)
    nodesOf(path, (node) => {
      if (ts.isRegularExpressionLiteral(node)) literals.set(node.text, path)
    })

  const compiled = (text: string): RegExp => {
    const end = text.lastIndexOf('/')
    return new RegExp(text.slice(1, end), text.slice(end + 1).replace(/[gy]/g, ''))
  }

  /** Characters that it speaks of, alone and in pairs, many times, and then one that ends nothing. */
  function attacks(text: string): readonly ((count: number) => string)[] {
    const plain = text.slice(1, text.lastIndexOf('/')).replace(/\\[a-zA-Z]/g, '')
    const own = [...new Set(plain)].filter((one) => !'()[]*+?^$|\\'.includes(one) || plain.includes(`\\${one}`))
    const some = [...new Set(['a', '0', ' ', ...own.slice(0, 8)])]
    const units = [...some, ...some.slice(0, 5).flatMap((a) => some.slice(0, 5).map((b) => a + b))]
    return units.flatMap((unit) =>
      ['', own[0] ?? ''].map((head) => (count: number) => `${head}${unit.repeat(count)}\0`),
    )
  }

  function took(expression: RegExp, text: string): number {
    let best = Number.POSITIVE_INFINITY
    for (let round = 0; round < 3; round++) {
      const begin = process.cpuUsage()
      expression.test(text)
      best = Math.min(best, process.cpuUsage(begin).user / 1000)
      if (best > 2000) break
    }
    return best
  }

  /** Four times the text is sixteen times the work, or more. */
  function isSlow(text: string): boolean {
    const expression = compiled(text)
    return attacks(text).some((attack) => {
      const [short, long] = [attack(REPEATS), attack(4 * REPEATS)]
      if (took(expression, short) < 1) return false
      return took(expression, long) / took(expression, short) > 9
    })
  }

  test('take a time that grows with the text, whatever it is (S309)', () => {
    expect(literals.size).toBeGreaterThan(250)
    const slow = [...literals].filter(([text]) => !BOUNDED.includes(text) && isSlow(text))
    expect(slow).toEqual([])
    expect(BOUNDED.filter((text) => !literals.has(text))).toEqual([])
  }, 120_000)

  test('that do not are found by this: twin of the above (S309)', () => {
    expect(['/\\s+$/', '/a+b/', '/^\\w+$/'].map(isSlow)).toEqual([true, true, false])
  })
})

describe('paths', () => {
  /** What takes a path apart or puts it together as text; the rest goes below a descriptor. */
  const KNOWN: Readonly<Record<string, readonly string[]>> = {
    // Paths of the caller, of this program, and of its own run root.
    'src/image/registry-account-node.ts': ['basename', 'dirname'],
    'src/sandbox/channel-node.ts': ['join'],
    'src/sandbox/egress-node.ts': ['join'],
    'src/sandbox/kernel-node.ts': ['join'],
    'src/sandbox/landlock-node.ts': ['join'],
    'src/sandbox/machine-node.ts': ['join'],
    // What it finds is mounted through a descriptor below the root.
    'src/sandbox/name-files-node.ts': ['join', 'posix'],
    'src/sandbox/secrets-node.ts': ['dirname'],
    'src/sandbox/sweep-node.ts': ['join'],
    'src/transfer/main.ts': ['dirname', 'join'],
  }

  test('of containers are never joined, resolved or made plain by node:path (S310)', () => {
    const found: Record<string, readonly string[]> = {}
    for (const path of sources)
      nodesOf(path, (node) => {
        if (!ts.isImportDeclaration(node) || !/^["'](?:node:)?path/.test(node.moduleSpecifier.getText())) return
        const named = node.importClause?.namedBindings
        found[path] =
          named !== undefined && ts.isNamedImports(named) ? named.elements.map(({ name }) => name.text) : ['*']
      })
    expect(found).toEqual(KNOWN)
  })

  test('are resolved by the runtime where there is no container: paths of the caller, for Landlock and its config.json (S310)', () => {
    const calls: string[] = []
    for (const path of sources)
      nodesOf(path, (node) => {
        if (ts.isIdentifier(node) && /^realpath(?:Sync)?$/.test(node.text)) calls.push(path)
      })
    expect([...new Set(calls)]).toEqual(['src/image/registry-account-node.ts', 'src/sandbox/landlock-node.ts'])
  })
})

test('numbers of 64 bits are in a frame as they are, beyond 2^53 and up to 2^64 (S313)', () => {
  const numbers = [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 62n + 1n, 2n ** 63n, 2n ** 64n - 1n]
  const view = new DataView(new ArrayBuffer(8))
  for (const number of numbers) {
    setInteger64(view, 0, number)
    expect(view.getBigUint64(0, true)).toBe(number)
    const plan = {
      operation: 'test',
      steps: [{ call: { name: 'close', args: [number] }, why: 'see a number', see: ['close(2)'] }],
    } as const
    const { frame } = assemble(plan, { architecture: 'x86_64', encode: utf8 })
    expect(Buffer.from(frame).includes(new Uint8Array(view.buffer))).toBe(true)
  }
  // As a number it would be another one.
  expect(BigInt(Number(2n ** 53n + 1n))).not.toBe(2n ** 53n + 1n)
})
