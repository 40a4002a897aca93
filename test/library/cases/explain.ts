/** explain(): what run would do. */

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { explain, type RunOptions, run } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const OPTIONS = { root: 'host', cwd: '/', limits: { memory: '64MiB', pids: 8 } } as const

export const cases: Cases = {
  'text has each call with its reason, and nothing is run': async () => {
    const directory = mkdtempSync('/var/tmp/coffer-explain-')
    try {
      const made = join(directory, 'made')
      const options = { ...OPTIONS, mounts: [{ source: directory, writable: true }] }
      const text = await explain(['touch', made], options)
      assert.match(
        text,
        /^ *\d+ +pivot_root\("\.", "\."\) +make the root of the container the root of all its processes/m,
      )
      assert.match(text, /execve\(.*"touch", "\/var\/tmp\//)
      assert.match(text, /67108864/)
      assert.equal(existsSync(made), false)
      await run(['touch', made], options)
      assert.equal(existsSync(made), true)
    } finally {
      rmSync(directory, { recursive: true })
    }
  },
  'limits and network of the options show in the plan': async () => {
    const [none, host] = await Promise.all(
      (['none', 'host'] as const).map((network) => explain(['true'], { ...OPTIONS, network })),
    )
    assert.match(none ?? '', /CLONE_NEWNET/)
    assert.doesNotMatch(host ?? '', /CLONE_NEWNET/)
  },
  'the tree shows the processes and what they become': async () => {
    const tree = await explain(['sleep', '5'], { ...OPTIONS, format: 'tree' })
    assert.match(tree, /mount/)
    assert.match(tree, /sleep/)
    assert.ok(tree.split('\n').length < 100)
  },
  'json is complete and has a version': async () => {
    const { version, steps } = JSON.parse(await explain(['true'], { ...OPTIONS, format: 'json' }))
    assert.equal(version, 1)
    assert.ok(steps.length > 50)
  },
  'the script is one that bash can read': async () => {
    const script = await explain(['true'], { ...OPTIONS, format: 'script' })
    const { verdict, stderr } = await run(['bash', '-n'], { ...OPTIONS, stdin: script })
    assert.deepEqual([verdict, stderr], ['ok', ''])
    assert.equal((await run(['bash', '-n'], { ...OPTIONS, stdin: `${script}\nif` })).verdict, 'failed')
  },
  'undo adds the steps that take back what was made': async () => {
    assert.ok((await explain(['true'], { ...OPTIONS, undo: true })).length > (await explain(['true'], OPTIONS)).length)
  },
  'what run refuses is refused, and a format that there is not': async () => {
    await assert.rejects(explain([], OPTIONS), /command is empty/)
    await assert.rejects(explain(['true'], { ...OPTIONS, limits: { pids: 0 } }), /limits.pids is 0/)
    const wrong = { ...OPTIONS, format: 'svg' } as unknown as RunOptions
    await assert.rejects(explain(['true'], wrong), /format is "svg"/)
  },
}
