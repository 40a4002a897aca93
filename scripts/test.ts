/**
 * Runs everything that can be wrong, one leg after another, and ends with a line `N passed, N failed, N skipped`. With words as arguments
 * it runs the legs that have one of them in their name.
 *
 * The numbers are those of bun's own reports. A leg that breaks without a test of it failing, such as the type check, counts as one
 * failure. A skipped test is a failure unless test/expected-skips.txt names it, with the reason: a test that silently stopped running
 * is worth nothing.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'

interface Counts {
  readonly passed: number
  /** Names, with what was printed of each. */
  readonly failed: readonly string[]
  readonly skipped: readonly string[]
}

interface Leg {
  readonly name: string
  readonly command: readonly string[]
  /** Where the leg's tests are, if it has any. */
  readonly tests?: readonly string[]
}

const bun = process.execPath
const reportOf = (name: string): string => `build/reports/${name.replaceAll(/[ ,]+/g, '-')}.xml`

/** Tests in a machine of their own, with a kernel and a layout of cgroups that this one may not have. */
const guestLeg = (name: string, layout: 'v1' | 'v2', tests: readonly string[]): Leg => ({
  name,
  command: ['scripts/guest', '--layout', layout, '--bring', reportOf(name), bun, 'test', '--timeout', '300000'],
  tests,
})

const ownMounts = ['unshare', '--mount', 'sh', '-c', 'mount --make-rshared / && exec "$@"', 'sh']

/**
 * Tests on this machine's kernel: all that are in a folder. They see the host's mounts, and none that others make meanwhile; what a container
 * mounts in the host's tree comes to them, as that is as shared as the host's.
 */
const hostLeg = (name: string, ...tests: readonly string[]): Leg => ({
  name,
  command: [...ownMounts, bun, 'test', '--timeout', '60000'],
  tests,
})

/** The tests of the kernel run on cgroup v2 alone as well, on a kernel that is years older than most hosts'; but for those that are about v1. */
const isAboutV1 = (file: string): boolean => file.endsWith('-v1.test.ts')
const kernelTests = readdirSync('test/kernel').filter((file) => file.endsWith('.test.ts'))
const alsoOnV1 = kernelTests.filter((file) => file === 'cgroup.test.ts' || isAboutV1(file))
const alsoOnV2 = kernelTests.filter((file) => !isAboutV1(file))
const inKernel = (file: string): string => `./test/kernel/${file}`

/** Containers of the engine have a bridge and rules, and crash tests compare devices and addresses: those of this machine are left alone. */
const inOwnNetwork = (leg: Leg): Leg => ({ ...leg, command: ['scripts/in-own-network', ...leg.command] })

const rootTests = readdirSync('test').filter((file) => file.endsWith('.test.ts'))

const legs: readonly Leg[] = [
  { name: 'types', command: ['make', '--no-print-directory', 'check-types'] },
  { name: 'style', command: ['make', '--no-print-directory', 'check-lint'] },
  { name: 'layers', command: ['make', '--no-print-directory', 'check-layers'] },
  { name: 'API reference', command: ['make', '--no-print-directory', 'check-api'] },
  { name: 'pure tests', command: [bun, 'test', '--timeout', '60000'], tests: ['./src'] },
  { name: 'tools', command: ['make', '--no-print-directory', 'tools'] },
  { name: 'build', command: ['make', '--no-print-directory', 'build'] },
  { name: 'build for aarch64', command: ['make', '--no-print-directory', 'build-executor', 'ARCH=aarch64'] },
  hostLeg('programs', ...rootTests.map((file) => `./test/${file}`)),
  hostLeg('kernel tests', './test/kernel'),
  hostLeg('library tests', './test/library'),
  hostLeg('tool tests', './test/tools'),
  inOwnNetwork(hostLeg('lab tests', './test/labs')),
  inOwnNetwork(hostLeg('engine tests', './test/engine')),
  hostLeg('security tests', './test/security'),
  hostLeg('mutants', './test/mutants'),
  hostLeg('fuzz tests', './test/fuzz'),
  hostLeg('soak tests', './test/soak'),
  { ...hostLeg('tests of clients', './test/clients'), command: [bun, 'test', '--timeout', '180000'] },
  { ...hostLeg('differential test', './test/differential'), command: [bun, 'test', '--timeout', '180000'] },
  inOwnNetwork(hostLeg('crash tests', './test/crash')),
  guestLeg('guest tests', 'v2', ['./test/guest/', './test/tools/cgroup.test.ts']),
  // Two, as one would take as long as a guest may under load.
  guestLeg('guest tests of the runtime, a to m', 'v2', alsoOnV2.filter((file) => file < 'n').map(inKernel)),
  guestLeg('guest tests of the runtime, n to z', 'v2', alsoOnV2.filter((file) => file >= 'n').map(inKernel)),
  guestLeg('guest tests of cgroup v1', 'v1', [
    './test/guest-v1/',
    './test/guest/usual.test.ts',
    ...alsoOnV1.map(inKernel),
  ]),
  guestLeg('guest tests of containerd', 'v2', ['./test/clients/ctr.test.ts']),
]

async function runLeg({ name, command, tests }: Leg): Promise<Counts> {
  console.log(`\n== ${name}`)
  const report = reportOf(name)
  const options = tests === undefined ? [] : ['--reporter=junit', `--reporter-outfile=${report}`, ...tests]
  const leg = Bun.spawn([...command, ...options], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const [printed] = await Promise.all([show(leg.stderr, process.stderr), show(leg.stdout, process.stdout)])
  const exitCode = await leg.exited
  const { failed, ...counts } = tests === undefined ? { passed: 0, failed: [], skipped: [] } : readReport(report)
  const ranNone = tests !== undefined && counts.passed === 0
  if (failed.length > 0)
    return { ...counts, failed: failed.map((test) => `${name}: ${test}${reasonIn(printed, test)}`) }
  if (exitCode === 0 && !ranNone) return { ...counts, failed }
  const why = `the leg as a whole: exit status ${exitCode}${ranNone ? ', no test passed' : ''}`
  return { ...counts, failed: [`${name}: ${why}`] }
}

/** As it comes; answers all of it. */
async function show(from: ReadableStream<Uint8Array>, to: NodeJS.WriteStream): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of from) {
    to.write(bytes)
    text += decoder.decode(bytes, { stream: true })
  }
  return text
}

const REASON_LINES = 24

/** What bun prints of a failed test: from its `error:` to the line of its name. */
function reasonIn(printed: string, test: string): string {
  const lines = printed.split('\n')
  const end = lines.findIndex((line) => line.startsWith('(fail) ') && line.includes(test))
  const begin = lines.slice(0, end).findLastIndex((line) => /^error: /.test(line))
  const isItsOwn = begin >= 0 && !lines.slice(begin, end).some((line) => /^\((pass|fail|skip)\) /.test(line))
  const after = lines.slice(end + 1, end + 2).filter((line) => line.startsWith('  ^ '))
  const reason = [...(isItsOwn ? lines.slice(begin, end).filter((line) => line.trim() !== '') : []), ...after]
  return reason
    .slice(0, REASON_LINES)
    .map((line) => `\n    ${line}`)
    .join('')
}

/** The cases of a JUnit report; what is neither a failure, an error nor skipped has passed. A report that is absent has none. */
function readReport(path: string): Counts {
  const [skipped, failed]: [string[], string[]] = [[], []]
  let passed = 0
  for (const [, attributes = '', body = ''] of readText(path).matchAll(
    /<testcase\b([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs,
  )) {
    const name = unescapeXml(/\bname="([^"]*)"/.exec(attributes)?.[1] ?? '')
    if (body.includes('<skipped')) skipped.push(name)
    else if (/<(failure|error)\b/.test(body)) failed.push(name)
    else passed++
  }
  return { passed, failed, skipped }
}

function unescapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }
  return text
    .replace(/&#(x?)([0-9a-f]+);/gi, (_, hex: string, digits: string) =>
      String.fromCodePoint(Number.parseInt(digits, hex === '' ? 10 : 16)),
    )
    .replace(/&(lt|gt|quot|apos|amp);/g, (_, entity: string) => entities[entity] ?? '')
}

/** Lines `name of the test  # reason`. */
function expectedSkips(): ReadonlySet<string> {
  const lines = readText('test/expected-skips.txt').split('\n')
  const names = lines.map((line) => /^([^#]+?)\s+# \S/.exec(line)?.[1]).filter((name) => name !== undefined)
  return new Set(names)
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

rmSync('build/reports', { recursive: true, force: true })
mkdirSync('build/reports', { recursive: true })
const words = process.argv.slice(2)
const chosen = legs.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))
const results: Counts[] = []
for (const leg of chosen) results.push(await runLeg(leg))
const skipped = results.flatMap((result) => result.skipped)
const expected = expectedSkips()
const unexpected = skipped.filter((name) => !expected.has(name))
const failed = results.flatMap((result) => result.failed)
const passed = results.reduce((total, result) => total + result.passed, 0)

// Once more at the end, where they are found in a long output of which only the end is kept.
console.log()
for (const name of failed) console.log(`failed: ${name}`)
for (const name of unexpected) console.log(`skipped, which test/expected-skips.txt does not expect: ${name}`)
const failures = failed.length + unexpected.length
console.log(`\n${passed} passed, ${failures} failed, ${skipped.length - unexpected.length} skipped`)
process.exit(failures === 0 ? 0 : 1)
