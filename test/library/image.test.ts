/** Images as roots: made here, loaded by `coffer load` into a store of their own, as root and without. */

import { afterAll } from 'bun:test'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { RUNTIMES, testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/image.ts'

const project = join(import.meta.dir, '..', '..')
const base = mkdtempSync('/var/tmp/coffer-library-image-')
chmodSync(base, 0o755)
afterAll(() => rmSync(base, { recursive: true }))

const must = (command: readonly string[], env: Readonly<Record<string, string>> = {}): void => {
  const { exitCode, stderr } = Bun.spawnSync([...command], {
    env: { ...process.env, ...env },
    stdout: 'ignore',
    stderr: 'pipe',
  })
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
}

/** Answers the digest. */
function layer(name: string, fill: (root: string) => void): string {
  const root = join(base, name)
  mkdirSync(root)
  fill(root)
  must(['tar', '-C', root, '--owner=0', '--group=0', '-cf', join(base, 'image', `${name}.tar`), '.'])
  return `sha256:${createHash('sha256')
    .update(readFileSync(join(base, 'image', `${name}.tar`)))
    .digest('hex')}`
}

mkdirSync(join(base, 'image'))
const lower = layer('lower', (root) => {
  for (const directory of ['bin', 'etc', 'work', 'tmp']) mkdirSync(join(root, directory))
  copyFileSync(Bun.which('busybox') ?? '/bin/busybox', join(root, 'bin', 'busybox'))
  for (const name of 'sh cat ls id head wc rm mkdir pwd'.split(' ')) symlinkSync('busybox', join(root, 'bin', name))
  writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  for (const [name, text] of [
    ['lower', 'lower'],
    ['both', 'old'],
    ['gone', 'x'],
  ] as const)
    writeFileSync(join(root, name), `${text}\n`)
})
const upper = layer('upper', (root) => {
  writeFileSync(join(root, 'upper'), 'upper\n')
  writeFileSync(join(root, 'both'), 'new\n')
  writeFileSync(join(root, '.wh.gone'), '')
})
const imageProcess = { Env: ['MADE=by test', 'PATH=/bin', 'NOTHING', '=x'], WorkingDir: '/work', Cmd: ['sh'] }
const config = {
  architecture: 'amd64',
  os: 'linux',
  config: imageProcess,
  rootfs: { type: 'layers', diff_ids: [lower, upper] },
}
writeFileSync(join(base, 'image', 'config.json'), JSON.stringify(config))
const manifest = [{ Config: 'config.json', RepoTags: ['test/two:latest'], Layers: ['lower.tar', 'upper.tar'] }]
writeFileSync(join(base, 'image', 'manifest.json'), JSON.stringify(manifest))
must([
  'tar',
  '-C',
  join(base, 'image'),
  '-cf',
  join(base, 'image.tar'),
  'manifest.json',
  'config.json',
  'lower.tar',
  'upper.tar',
])

const ID = 4713
const USER = ['setpriv', '--reuid', `${ID}`, '--regid', `${ID}`, '--clear-groups']
const coffer = join(project, 'dist', 'coffer')

for (const [title, through] of [
  ['an image', []],
  ['an image without root', USER],
] as const) {
  const place = join(base, title.replaceAll(' ', '-'))
  mkdirSync(place)
  // Each runtime ends with removing the image.
  const storeOf = (runtime: string): string => join(place, runtime)
  const env = {
    COFFER_RUN_ROOT: join(place, 'run'),
    XDG_RUNTIME_DIR: place,
    HOME: place,
    COFFER_TEST_PLACE: place,
    COFFER_TEST_PROGRAM: coffer,
  }
  if (through.length > 0) must(['chown', '-hR', `${ID}:${ID}`, place])
  for (const runtime of RUNTIMES)
    must([...through, coffer, 'load', '-i', join(base, 'image.tar')], { ...env, COFFER_DATA_ROOT: storeOf(runtime) })
  testInBothRuntimes({
    title,
    cases,
    path: join(import.meta.dir, 'cases', 'image.ts'),
    through,
    env,
    envOf: (runtime) => ({ COFFER_DATA_ROOT: storeOf(runtime) }),
  })
}
