/** The library for a caller without privilege. */

import assert from 'node:assert/strict'
import { boxPool, OperationError, probe, type RunOptions, run, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const sh = (script: string, options: Partial<RunOptions> = {}) =>
  run(['sh', '-c', script], { root: 'host', cwd: '/', ...options })

export const cases: Cases = {
  'a user runs a command on a view of this machine, as root of nothing': async () => {
    const { stdout, verdict } = await sh(
      'id -u; echo kept >/usr/f; cat /usr/f; cat /etc/shadow | wc -l; grep CapEff /proc/self/status',
    )
    assert.equal(stdout.replace('\t', ' '), '0\nkept\n0\nCapEff: 0000000000000000\n')
    assert.equal(verdict, 'ok')
  },
  'limits that take no cgroup hold': async () => {
    assert.equal((await sh('while :; do :; done', { limits: { wallClockMs: 200 } })).verdict, 'wall-time')
    assert.equal((await sh('yes', { limits: { outputBytes: 1000 } })).verdict, 'output')
  },
  'what cannot be enforced is told, and refused where it was asked for': async () => {
    const { privilege, problems, enforces } = probe()
    assert.equal(privilege, 'rootless')
    const missing = problems.map(({ feature }) => feature)
    const { enforced } = await sh('true')
    for (const feature of missing) assert.equal(enforced.includes(feature) || enforces.includes(feature), false)
    if (missing.includes('memory'))
      await assert.rejects(sh('true', { limits: { memory: '1g' } }), /cannot enforce memory/)
  },
  'a network of the engine is refused by name, with what there is instead': async () => {
    for (const network of ['bridge', { name: 'front' }] as const)
      await assert.rejects(sh('true', { network }), (error: unknown) => {
        assert.ok(error instanceof OperationError)
        assert.equal(error.kind, 'unsupported')
        assert.match(error.message, /cannot join the network (bridge|front): .* are for root to make/)
        assert.match(error.hint ?? '', /allow: \[/)
        return true
      })
  },
  'a box has files and commands': async () => {
    const box = await sandbox({ root: 'host', cwd: '/' })
    try {
      await box.files.write('/usr/f', 'text')
      assert.equal((await box.exec(['cat', '/usr/f'])).stdout, 'text')
      await box.exec(['sh', '-c', 'echo more >/usr/g'])
      assert.equal(await box.files.readText('/usr/g'), 'more\n')
    } finally {
      await box.kill()
    }
  },
  'a command of a box has a terminal': async () => {
    const box = await sandbox({ root: 'host', cwd: '/' })
    try {
      const child = await box.spawn(['sh', '-c', 'stty size; read word; echo $word'], {
        pty: { columns: 90, rows: 30 },
      })
      let text = ''
      child.stdout.on('data', (bytes: Uint8Array) => {
        text += Buffer.from(bytes).toString()
      })
      child.stdin.end('typed\n')
      await new Promise((resolve) => child.stdout.on('end', resolve))
      assert.deepEqual(await child.exited, { exitCode: 0, signal: undefined })
      assert.match(text, /30 90\r\n/)
      assert.match(text, /typed\r\n$/)
    } finally {
      await box.kill()
    }
  },
  'a pool has boxes ready': async () => {
    const pool = await boxPool({ root: 'host', cwd: '/', size: 2 })
    try {
      const boxes = await Promise.all([pool.take(), pool.take(), pool.take()])
      for (const box of boxes) assert.equal((await box.exec(['echo', 'x'])).stdout, 'x\n')
    } finally {
      await pool.close()
    }
  },
}
