/** coffer as its users get it: the archive of `npm pack`, in a folder that has nothing else. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { binOf, RUNTIMES } from './both-runtimes.ts'
import { type Installed, install, runIn } from './installed.ts'

let installed: Installed
beforeAll(async () => {
  installed = await install()
})
afterAll(() => installed[Symbol.dispose]())

const repository = join(import.meta.dir, '..', '..')

/** The first block of TypeScript in the README, which is what people copy. */
function linesOfReadme(): string {
  const block = /^```ts\n(.*?)^```$/ms.exec(readFileSync(join(repository, 'README.md'), 'utf8'))?.[1]
  if (block === undefined) throw new Error('README.md has no block of TypeScript')
  return block
}

test('the archive has the library, its types and the programs that it starts, and nothing else', () => {
  const isPage = (path: string): boolean => /^dist\/man\/coffer[\w-]*\.1$/.test(path)
  const paths = installed.contents.map(({ path }) => path).toSorted()
  expect(paths.filter(isPage)).toContain('dist/man/coffer-run.1')
  expect(paths.filter((path) => !isPage(path))).toEqual([
    'README.md',
    'dist/coffer',
    'dist/coffer-denials',
    'dist/coffer-executor',
    'dist/coffer-init',
    'dist/coffer-monitor',
    'dist/coffer-relay',
    'dist/index.d.ts',
    'dist/index.js',
    'dist/transfer.js',
    'package.json',
  ])
  const total = installed.contents.reduce((sum, { size }) => sum + size, 0)
  // Five sixths of it are the engine with its heap, which grows with what it can do: 2.07 MiB in November 2026.
  expect(installed.archiveBytes).toBeLessThan(2.25 * 1024 * 1024)
  expect(total).toBeLessThan(8 * 1024 * 1024)
})

test('installing runs nothing and brings nothing else', () => {
  const written = JSON.parse(readFileSync(join(installed.directory, 'node_modules', 'coffer', 'package.json'), 'utf8'))
  expect(Object.keys(written.scripts ?? {})).toEqual(['prepack'])
  expect([written.dependencies, written.optionalDependencies, written.peerDependencies]).toEqual([
    undefined,
    undefined,
    undefined,
  ])
  const lock = JSON.parse(readFileSync(join(installed.directory, 'package-lock.json'), 'utf8'))
  expect(Object.keys(lock.packages)).toEqual(['', 'node_modules/coffer'])
})

test('no file of the library names one that is not shipped', () => {
  const text = (name: string): string =>
    readFileSync(join(installed.directory, 'node_modules', 'coffer', 'dist', name), 'utf8')
  for (const name of ['index.js', 'index.d.ts']) {
    const imported = [...text(name).matchAll(/^(?:import|export)\b[^;\n]*?\bfrom ['"]([^'"]+)['"]/gm)]
    expect(imported.map(([, module = '']) => module).filter((module) => !/^(node:)?[a-z_/]+$/.test(module))).toEqual([])
    expect(imported).not.toEqual([])
  }
})

test('both commands are in the folder of programs, and know by their names which they are', async () => {
  const bin = (name: string): string => join(installed.directory, 'node_modules', '.bin', name)
  for (const name of ['coffer', 'coffer-runc']) expect(lstatSync(bin(name)).isSymbolicLink()).toBe(true)
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
  expect((await installed.run([bin('coffer'), '--version'])).stdout).toBe(`coffer version ${version}\n`)
  expect((await installed.run([bin('coffer-runc'), '--version'])).stdout).toContain(`coffer-runc version ${version}\n`)
})

test('a command that needs Node finds its script beside the program', async () => {
  const { stderr } = await installed.run([
    join(installed.directory, 'node_modules', '.bin', 'coffer'),
    'load',
    '--input',
    '/nonexistent.tar',
  ])
  expect(stderr).toContain('/nonexistent.tar')
  expect(stderr).not.toContain('transfer.js')
})

test('the lines of the README have types, and a wrong option has none', async () => {
  const types = join(installed.directory, 'node_modules', '@types')
  symlinkSync(join(repository, 'node_modules', '@types'), types)
  const check = async (source: string) => {
    writeFileSync(join(installed.directory, 'checked.mts'), source)
    const flags = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node']
    return installed.run([binOf('tsc'), ...flags, 'checked.mts'])
  }
  const lines = `${linesOfReadme()}\n`
  expect((await check(lines)).stdout).toBe('')
  expect((await check(lines.replace("root: 'host'", "root: 'hots'"))).stdout).toContain('hots')
  expect((await check(`${lines}\nimport type { LimitName } from 'coffer'\n`)).stdout).toContain('LimitName')
})

test('bun installs it as npm does', async () => {
  const directory = join(installed.directory, '..', 'of-bun')
  mkdirSync(directory)
  writeFileSync(join(directory, 'package.json'), '{}')
  const { stderr, status } = await runIn(directory, [binOf('bun'), 'add', installed.archive])
  expect([status, status === 0 ? '' : stderr]).toEqual([0, ''])
  writeFileSync(
    join(directory, 'main.ts'),
    "import { run } from 'coffer'\nconsole.log((await run(['true'], { root: 'host', cwd: '/' })).verdict)\n",
  )
  expect((await runIn(directory, [binOf('bun'), 'main.ts'])).stdout).toBe('ok\n')
  const coffer = join(directory, 'node_modules', '.bin', 'coffer-runc')
  expect((await runIn(directory, [coffer, '--version'])).stdout).toContain('coffer-runc version')
})

/** What the README says that they print. */
function printedInReadme(): string {
  const text = readFileSync(join(repository, 'README.md'), 'utf8')
  return /^```ts\n.*?^```$.*?^```text\n(.*?)^```$/ms.exec(text)?.[1] ?? 'README.md does not say what is printed'
}

for (const runtime of RUNTIMES)
  describe(runtime, () => {
    const program = async (source: string) => {
      writeFileSync(join(installed.directory, 'main.ts'), source)
      return installed.run([binOf(runtime), 'main.ts'])
    }

    test('the lines of the README print what it says: a verdict for each hostile script', async () => {
      const { stdout, status } = await program(linesOfReadme())
      expect([stdout, status]).toEqual([printedInReadme(), 0])
    })

    test('the secret is there for who is granted it', async () => {
      const granting = linesOfReadme().replace('limits }', "limits, grant: [process.env.HOME + '/.ssh'] }")
      expect((await program(granting)).stdout).toMatch(/^ok +print\(open\(/m)
    })
  })
