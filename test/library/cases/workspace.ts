/** What was written in a box, as a workspace: changes, apply, discard, fork. */

import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Box, type BoxOptions, OperationError, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const PLACE = process.env.COFFER_TEST_PLACE ?? '/var/tmp'

interface Given {
  readonly box: Box
  readonly directory: string
  readonly sh: (script: string) => Promise<string>
}

/** A tree of files, and a box that sees it: below the root of this machine at the same path, or as its root. */
async function withTree(body: (given: Given) => Promise<void>, root: 'host' | 'directory' = 'host'): Promise<void> {
  const directory = mkdtempSync(join(PLACE, 'coffer-workspace-'))
  chmodSync(directory, 0o755)
  writeFileSync(join(directory, 'poem'), 'one\ntwo\nthree\n')
  writeFileSync(join(directory, 'gone'), 'x')
  mkdirSync(join(directory, 'tree', 'deep'), { recursive: true })
  writeFileSync(join(directory, 'tree', 'deep', 'leaf'), 'leaf\n')
  symlinkSync('poem', join(directory, 'link'))
  let box: Box | undefined
  try {
    const options: BoxOptions =
      root === 'host'
        ? { root: 'host', cwd: '/' }
        : {
            root: { directory, copyOnWrite: true },
            mounts: ['/bin', '/usr', '/lib', '/lib64'].filter(existsSync).map((source) => ({ source })),
          }
    box = await sandbox(options)
    const live = box
    await body({
      box,
      directory,
      sh: async (script) => {
        const cwd = root === 'host' ? directory : '/'
        const { exitCode, stdout, stderr } = await live.exec(['sh', '-c', script], { cwd })
        assert.equal(`${exitCode} ${stderr}`, '0 ')
        return stdout
      },
    })
  } finally {
    await box?.kill()
    rmSync(directory, { recursive: true })
  }
}

const linesOf = async ({ box, directory }: Given): Promise<readonly string[]> =>
  (await box.changes()).map(
    ({ change, path, kind, sizeBytes }) => `${change} ${kind} ${path.replace(directory, '')} ${sizeBytes}`,
  )

const refusalOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OperationError, String(error))
  return `${error.kind}: ${error.message}`
}

const EDITS = `
  sed -i s/two/TWO/ poem; rm gone; mkdir -p new/dir; printf 1234 >new/dir/file; ln -s ../poem new/l
  rm -r tree; mkdir tree; echo other >tree/other; rm link; mkdir link`

const CHANGES = [
  'deleted symlink /link 0',
  'added directory /link 0',
  'added directory /new 0',
  'modified file /poem 14',
  'deleted file /gone 0',
  'added directory /new/dir 0',
  'added symlink /new/l 0',
  'added file /tree/other 6',
  'deleted directory /tree/deep 0',
  'added file /new/dir/file 4',
].sort()

async function expectChanges(given: Given): Promise<void> {
  const { box, sh, directory } = given
  assert.deepEqual(await linesOf(given), [])
  await sh(EDITS)
  assert.deepEqual([...(await linesOf(given))].sort(), CHANGES)
  const changes = await box.changes()
  const path = changes.find((one) => one.path.endsWith('/poem'))?.path
  assert.equal(
    changes.find((one) => one.path === path)?.diff,
    `--- a${path}\n+++ b${path}\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n`,
  )
  assert.equal(changes.find((one) => one.path.endsWith('/l'))?.target, '../poem')
  // The original is as it was.
  assert.equal(readFileSync(join(directory, 'poem'), 'utf8'), 'one\ntwo\nthree\n')
}

function expectApplied(directory: string): void {
  assert.deepEqual(readdirSync(directory).sort(), ['link', 'new', 'poem', 'tree'])
  assert.equal(readFileSync(join(directory, 'poem'), 'utf8'), 'one\nTWO\nthree\n')
  assert.deepEqual(readdirSync(join(directory, 'tree')), ['other'])
  assert.equal(readFileSync(join(directory, 'new', 'dir', 'file'), 'utf8'), '1234')
  assert.equal(readlinkSync(join(directory, 'new', 'l')), '../poem')
  assert.ok(lstatSync(join(directory, 'link')).isDirectory())
}

export const cases: Cases = {
  'a signal stops a look, a copy and a transfer before anything was written': () =>
    withTree(async ({ box, directory, sh }) => {
      await sh('echo more >>poem; echo new >new')
      const signal = AbortSignal.abort()
      for (const work of [
        () => box.changes({ signal }),
        () => box.apply(undefined, { signal }),
        () => box.fork({ signal }),
        () => box.files.read('/etc/passwd', { signal }),
        () => box.files.write(`${directory}/new`, 'other', { signal }),
      ])
        await assert.rejects(work(), { name: 'AbortError' })
      const during = new AbortController()
      const looking = box.changes({ signal: during.signal })
      during.abort()
      await assert.rejects(looking, { name: 'AbortError' })
      assert.deepEqual([existsSync(join(directory, 'new')), await sh('cat new')], [false, 'new\n'])
    }),
  'changes below the root of this machine are found, with sizes, kinds and diffs': () => withTree(expectChanges),
  'changes of a directory are found as well': () => withTree(expectChanges, 'directory'),
  'what a box wrote is applied to this machine, and is no change any more': () =>
    withTree(async (given) => {
      await given.sh(EDITS)
      assert.equal((await given.box.apply()).length, CHANGES.length)
      expectApplied(given.directory)
      assert.deepEqual(await linesOf(given), [])
    }),
  'what a box wrote is applied to its directory': () =>
    withTree(async (given) => {
      await given.sh(EDITS)
      await given.box.apply()
      expectApplied(given.directory)
      await given.sh('echo again >poem')
      await given.box.apply()
      assert.equal(readFileSync(join(given.directory, 'poem'), 'utf8'), 'again\n')
    }, 'directory'),
  'a filter chooses, and another directory gets what was chosen with the directories on the way': () =>
    withTree(async ({ box, directory, sh }) => {
      const to = mkdtempSync(join(PLACE, 'coffer-to-'))
      try {
        await sh(EDITS)
        const applied = await box.apply(({ path }) => path.endsWith('/new/dir/file'), { to })
        assert.deepEqual(
          applied.map(({ path }) => path),
          [`${directory}/new/dir/file`],
        )
        assert.equal(readFileSync(join(to, directory, 'new', 'dir', 'file'), 'utf8'), '1234')
        assert.equal(existsSync(join(directory, 'new')), false)
      } finally {
        rmSync(to, { recursive: true })
      }
    }),
  'a file that was changed meanwhile is not replaced, and nothing else is applied, unless told': () =>
    withTree(async (given) => {
      const { box, directory, sh } = given
      await sh(EDITS)
      writeFileSync(join(directory, 'poem'), 'mine\n')
      assert.match(await refusalOf(box.apply()), /^conflict: .*poem was changed since the box was made/)
      assert.equal(readFileSync(join(directory, 'gone'), 'utf8'), 'x')
      writeFileSync(join(directory, 'tree', 'deep', 'leaf'), 'mine\n')
      assert.match(await refusalOf(box.apply(({ path }) => path.includes('/tree'))), /^conflict: .*leaf was changed/)
      mkdirSync(join(directory, 'new'))
      writeFileSync(join(directory, 'new', 'l'), 'mine\n')
      assert.match(await refusalOf(box.apply(({ path }) => path.endsWith('/l'))), /^conflict: .*l was changed/)
      await box.apply(undefined, { overwrite: true })
      expectApplied(directory)
    }),
  'what is applied follows no link of the target out of it (S17)': () =>
    withTree(async ({ box, directory, sh }) => {
      const outside = mkdtempSync(join(PLACE, 'coffer-outside-'))
      try {
        await sh('echo bad >tree/deep/leaf; echo bad >tree/new')
        rmSync(join(directory, 'tree'), { recursive: true })
        mkdirSync(join(outside, 'deep'))
        symlinkSync(outside, join(directory, 'tree'))
        assert.match(await refusalOf(box.apply(undefined, { overwrite: true })), /ELOOP/)
        assert.deepEqual([readdirSync(outside), readdirSync(join(outside, 'deep'))], [['deep'], []])
      } finally {
        rmSync(outside, { recursive: true })
      }
    }),
  'set-id bits stay in the box, and what is no file is refused (S18)': () =>
    withTree(async ({ box, directory, sh }) => {
      await sh('cp /bin/true mine; chmod 6755 mine; mkfifo pipe')
      assert.match(await refusalOf(box.apply()), /^unsupported: .*pipe is a fifo/)
      assert.equal(existsSync(join(directory, 'mine')), false)
      await box.apply(({ kind }) => kind === 'file')
      assert.equal(lstatSync(join(directory, 'mine')).mode & 0o7777, 0o755)
    }),
  'discard begins again with the files that the box started from': () =>
    withTree(async (given) => {
      const { box, sh } = given
      let ended = 0
      box.on('exit', () => ended++)
      await sh(`${EDITS}; sleep 1000 >/dev/null 2>&1 &`)
      await box.discard()
      assert.deepEqual(await linesOf(given), [])
      assert.equal(await sh('cat poem; ls'), 'one\ntwo\nthree\ngone\nlink\npoem\ntree\n')
      assert.equal(ended, 0)
      await box.kill()
      assert.equal(ended, 1)
    }),
  'a fork has the files of its box, and then each its own': () =>
    withTree(async (given) => {
      const { box, directory, sh } = given
      await sh(`${EDITS}; mkfifo pipe; chmod 600 new/dir/file`)
      const before = await linesOf(given)
      const fork = await box.fork()
      try {
        assert.deepEqual([...(await linesOf({ ...given, box: fork }))].sort(), [...before].sort())
        await sh('echo changed >poem')
        const { stdout } = await fork.exec(['sh', '-c', 'cat poem; stat -c %a new/dir/file; rm new/dir/file'], {
          cwd: directory,
        })
        assert.equal(stdout, 'one\nTWO\nthree\n600\n')
        assert.equal(await sh('cat new/dir/file'), '1234')
      } finally {
        await fork.kill()
      }
    }),
  'a box that writes into its directory itself has no changes to show': async () => {
    const box = await sandbox({ root: { directory: '/usr' } }).catch(() => undefined)
    if (box === undefined) return
    assert.match(await refusalOf(box.changes()), /^unsupported: .*written to its directory itself/)
    await box.kill()
  },
  'a name that is no UTF-8, a large directory and a large file come through': () =>
    withTree(async (given) => {
      const { box, directory, sh } = given
      await sh(
        'mkdir many; i=0; while [ $i -lt 1500 ]; do : >many/a-rather-long-name-$i; i=$((i+1)); done; head -c 30000000 /dev/zero >large; : >"$(printf \'\\377\')"',
      )
      assert.equal((await box.changes()).length, 1503)
      await box.apply()
      assert.equal(readdirSync(join(directory, 'many')).length, 1500)
      assert.equal(lstatSync(join(directory, 'large')).size, 30_000_000)
      assert.ok(readdirSync(directory, { encoding: 'latin1' }).includes('\xff'))
    }),
}
