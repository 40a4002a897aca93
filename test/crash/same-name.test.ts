/**
 * A command that removes a container is slow, and meanwhile somebody else removes it and makes another one of the same name: the new one is
 * not touched (S254).
 */

import { afterAll, afterEach, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdirSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeConfig } from '../kernel/bundle.ts'
import { cgroupPaths, until } from '../kernel/leaks.ts'
import { readText } from '../kernel/machine.ts'
import { expectNothingLeft, makeSite, PROGRAMS, type Site } from '../kernel/site.ts'
import { addFigures, printTotal } from './figures.ts'
import { type Command, FLOCK, inject, LONG, pointsOf, RENAMEAT2, sample } from './injection.ts'

setDefaultTimeout(LONG ? 3600_000 : 120_000)
afterEach(expectNothingLeft)
afterAll(printTotal)

interface Slow {
  readonly name: string
  readonly exitCode: number
  readonly few: number
  /** Makes what it removes. */
  readonly before: (site: Site) => Command
}

/** Calls at which each of them has to do with the first container: in these it ends and is removed. */
const LAST = 80
const DELETE = 'delete --force'
const [FRONT, EXECUTOR] = ['0', '1']
/** Of a slow start: with them it looks at the container that it holds, and renames its fifo. */
const LAST_CALLS = 12

const SLOW: readonly Slow[] = [
  {
    name: DELETE,
    exitCode: 0,
    few: 10,
    before: (site) => {
      site.configure()
      site.call(['run', '--detach', site.id])
      return { args: ['delete', '--force', site.id] }
    },
  },
  {
    name: 'run',
    exitCode: 0,
    few: 8,
    before: (site) => {
      site.configure({ 'process.args': ['true'] })
      return { args: ['run', site.id] }
    },
  },
  {
    name: 'a create that fails',
    exitCode: 1,
    few: 8,
    before: (site) => {
      site.configure({ 'hooks.createRuntime': [{ path: '/bin/false' }] })
      return { args: ['create', site.id] }
    },
  },
]

/** Removes it and makes another one, at once if nobody is waited for, and else once the one that is held goes on. */
function meanwhile(site: Site, bundle: string): string {
  const coffer = `${PROGRAMS.coffer} --root ${site.root()}`
  const both = `${coffer} delete --force ${site.id} && ${coffer} create --bundle ${bundle} ${site.id}; echo $? >${bundle}/status`
  const look = `for turn in $(seq 30); do [ -s ${bundle}/status ] && break; sleep 0.03; done`
  return `( ${both} ) >${bundle}/output 2>&1 </dev/null & ${look}`
}

/** What is wrong with the new container. */
function harm(site: Site, bundle: string): readonly string[] {
  until('the other commands', () => readText(`${bundle}/status`)?.endsWith('\n'))
  const output = readText(`${bundle}/output`) ?? ''
  if (readText(`${bundle}/status`) !== '0\n') return [`not made: ${output}`]
  const { exitCode: known, stderr: unknown } = site.call(['state', site.id])
  if (known !== 0) return [unknown]
  const { status, pid } = site.state()
  if (status !== 'created') return [`it is ${status}`]
  const { exitCode, stderr } = site.call(['start', site.id])
  if (exitCode !== 0) return [stderr]
  const after = site.state()
  return after.status === 'running' && after.pid === pid ? [] : [`it is ${after.status}`]
}

for (const { name, exitCode, few, before } of SLOW)
  test(`whoever removes a container slowly, as ${name} does, lets be what was made of its name meanwhile (S254)`, () => {
    using site = makeSite()
    const bundle = join(site.directory, 'another')
    mkdirSync(bundle)
    writeConfig(bundle, {
      'process.args': ['sleep', '1000'],
      'linux.cgroupsPath': site.cgroup,
      'root.path': site.rootfs,
    })
    const fresh = (): Command => {
      rmSync(join(site.root(), '.plans'), { recursive: true, force: true })
      rmSync(`${bundle}/status`, { force: true })
      return before(site)
    }
    const all = pointsOf(site, fresh(), exitCode)
    // Before its flock(2) a `delete` has not looked for the container, and may well find the new one.
    const looked = name === DELETE ? all.findIndex(({ role, call }) => role === '0' && call === FLOCK) + 1 : 0
    const points = all.slice(Math.max(looked, all.length - LAST))
    expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
    const visited = sample(points, few)
    let missed = 0
    for (const point of visited) {
      const { hit } = inject(site, fresh(), point, `do=${meanwhile(site, bundle)}`)
      const found = hit ? harm(site, bundle) : []
      if (!hit) missed++
      expect([point, found, site.call(['delete', '--force', site.id]).exitCode]).toEqual([point, [], 0])
      expect([point, site.leaks()]).toEqual([point, []])
    }
    addFigures({
      command: name,
      kind: 'a default container',
      way: 'is slower than delete and create',
      points: points.length,
      visited: visited.length - missed,
    })
    // A removal is tried again as long as the kernel is busy, so the calls at the end are not always as many.
    expect(missed).toBeLessThanOrEqual(visited.length / 2)
  })

test('what a failed create takes back by path is let be once somebody else has removed it and made it anew (S254)', () => {
  using site = makeSite()
  const status = join(site.directory, 'status')
  const fresh = (): Command => {
    rmSync(status, { force: true })
    site.configure({ 'hooks.createRuntime': [{ path: '/bin/false' }] })
    return { args: ['create', site.id] }
  }
  const points = pointsOf(site, fresh(), 1).filter(({ role }) => role === EXECUTOR)
  // Up to there it holds the directory, and there is nobody else.
  const taken = points.findIndex(({ call }) => call === FLOCK)
  const released = points.findIndex(({ call }, index) => call === FLOCK && index > taken)
  const removal = `${PROGRAMS.coffer} --root ${site.root()} delete --force ${site.id}`
  const paths = [join(site.root(), site.id), ...cgroupPaths(site.cgroup)]
  const both = `( ${removal} && mkdir ${paths.join(' ')}; echo $? >${status} ) >/dev/null 2>&1 </dev/null &`
  const look = `for turn in $(seq 10); do [ -s ${status} ] && break; sleep 0.03; done`
  for (const point of sample(points.slice(released + 1), 16)) {
    const { hit } = inject(site, fresh(), point, `do=${both} ${look}`)
    until('the removal', () => readText(status)?.endsWith('\n'))
    const lost = paths.filter((path) => !existsSync(path))
    for (const path of paths) if (existsSync(path)) rmdirSync(path)
    expect([point, hit, readText(status), lost]).toEqual([point, true, '0\n', []])
  }
})

test('whoever starts a container slowly lets be what was made of its name meanwhile, and fails (S254)', () => {
  using site = makeSite()
  const bundle = join(site.directory, 'another')
  mkdirSync(bundle)
  writeConfig(bundle, { 'process.args': ['sleep', '1000'], 'linux.cgroupsPath': site.cgroup, 'root.path': site.rootfs })
  const fresh = (): Command => {
    rmSync(`${bundle}/status`, { force: true })
    site.configure()
    site.call(['create', site.id])
    return { args: ['start', site.id] }
  }
  const points = pointsOf(site, fresh(), 0)
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  // Before it opens the directory of the container, it may well find the new one; the last calls until it renames the fifo are behind that.
  const renames = points.findIndex(({ role, call }) => role === FRONT && call === RENAMEAT2)
  const visited = points.slice(0, renames + 1).filter(({ role }) => role === FRONT)
  expect(visited.length).toBeGreaterThan(2 * LAST_CALLS)
  for (const point of sample(visited.slice(-LAST_CALLS), 8)) {
    const { hit, exitCode, stderr } = inject(site, fresh(), point, `do=${meanwhile(site, bundle)}`)
    expect([point, hit, exitCode, stderr]).toEqual([point, true, 1, expect.stringMatching(/ENOENT|does not exist/)])
    expect([point, harm(site, bundle)]).toEqual([point, []])
    expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  }
})
