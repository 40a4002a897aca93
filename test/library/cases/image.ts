/** An image as the root of a box: image.test.ts makes it, of two layers. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Box, explain, OperationError, type RunOptions, run, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const ROOT = { root: { image: 'test/two' } } as const
const sh = (script: string, options: Partial<RunOptions> = {}) => run(['sh', '-c', script], { ...ROOT, ...options })

async function inBox(body: (box: Box) => Promise<void>): Promise<void> {
  const box = await sandbox(ROOT)
  try {
    await body(box)
  } finally {
    await box.kill()
  }
}

const refused = async (promise: Promise<unknown>): Promise<OperationError> => {
  const error = await promise.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OperationError, String(error))
  return error
}

export const cases: Cases = {
  'a command sees the files of all layers, and nothing of this machine': async () => {
    const { stdout, stderr } = await sh('cat /lower /upper /both; ls /gone /root/.ssh /usr; ls /')
    assert.equal(stdout, 'lower\nupper\nnew\nbin\nboth\ndev\netc\nlower\nproc\nsys\ntmp\nupper\nwork\n')
    assert.match(stderr, /gone: No such file.*\n.*ssh: No such file.*\n.*usr: No such file/)
  },
  'the image says environment, directory and user, and options say otherwise': async () => {
    assert.equal((await sh('echo $MADE; pwd; id -u; echo $HOME')).stdout, 'by test\n/work\n0\n/root\n')
    const other = await sh('echo $MADE; pwd; id -u', { env: { MADE: 'here' }, cwd: '/bin', user: 0 })
    assert.equal(other.stdout, 'here\n/bin\n0\n')
  },
  'what is written is gone with the container, and limits hold': async () => {
    assert.equal((await sh('echo x >/lower; rm /upper; cat /lower')).stdout, 'x\n')
    assert.equal((await sh('cat /lower /upper')).stdout, 'lower\nupper\n')
    const { verdict } = await sh('for i in 1 2 3; do head -c 1000000 /dev/zero >/f$i || exit 1; done', {
      limits: { diskBytes: '2MiB' },
    })
    assert.equal(verdict, 'disk')
  },
  'a box of an image is a workspace': () =>
    inBox(async (box) => {
      await box.exec(['sh', '-c', 'echo more >>/both; rm /lower; echo mine >/new; mkdir /upper.d'])
      const changes = await box.changes()
      assert.deepEqual(changes.map(({ change, path }) => `${path} ${change}`).sort(), [
        '/both modified',
        '/lower deleted',
        '/new added',
        '/upper.d added',
      ])
      assert.match(changes.find(({ path }) => path === '/both')?.diff ?? '', / new\n\+more\n/)
      const copy = await box.fork()
      try {
        const { stdout } = await copy.exec(['sh', '-c', 'cat /both /new; ls /lower'])
        assert.equal(stdout, 'new\nmore\nmine\n')
      } finally {
        await copy.kill()
      }
      const to = mkdtempSync(join(process.env.COFFER_TEST_PLACE ?? tmpdir(), 'coffer-image-to-'))
      try {
        await box.apply(({ path }) => path === '/new', { to })
        assert.equal(readFileSync(join(to, 'new'), 'utf8'), 'mine\n')
      } finally {
        rmSync(to, { recursive: true })
      }
      assert.equal((await refused(box.apply())).kind, 'invalid')
      await box.discard()
      assert.equal((await box.exec(['cat', '/lower'])).stdout, 'lower\n')
    }),
  'an image that is not there, or is none, is refused': async () => {
    const missing = await refused(run(['sh'], { root: { image: 'test/none' } }))
    assert.deepEqual([missing.kind, missing.hint?.startsWith('coffer pull test/none')], ['missing', true])
    assert.equal((await refused(run(['sh'], { root: { image: '' } }))).kind, 'invalid')
    assert.match(await explain(['sh'], ROOT), /flock/)
  },
  'an image that a box uses is not taken from it': () =>
    inBox(async (box) => {
      const coffer = (...words: readonly string[]): string =>
        spawnSync(process.env.COFFER_TEST_PROGRAM ?? '', words, { encoding: 'utf8' }).stdout
      assert.match(coffer('tag', 'test/two', 'test/kept') + coffer('images'), /test\/kept/)
      coffer('rmi', '--force', 'test/two', 'test/kept')
      assert.equal((await box.exec(['sh', '-c', 'cat /bin/sh | wc -c; cat /lower'])).stdout.split('\n')[1], 'lower')
      assert.equal((await refused(run(['sh'], ROOT))).kind, 'missing')
    }),
}
