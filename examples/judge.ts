/** An online judge: a submission runs once for each test, and gets the verdict of the first test that it does not pass. */

import { run, type Verdict } from 'coffer'

interface Test {
  readonly input: string
  readonly output: string
}

type Judgement = 'accepted' | 'wrong answer' | Verdict

const limits = {
  memory: '64MiB',
  pids: 16,
  cpuTimeMs: 1000,
  wallClockMs: 20_000,
  outputBytes: 65_536,
  diskBytes: '1MiB',
}

async function judge(submission: string, tests: readonly Test[]): Promise<Judgement> {
  for (const { input, output } of tests) {
    const { verdict, stdout } = await run(['python3', '-c', submission], {
      root: 'host',
      cwd: '/',
      user: 65_534,
      stdin: input,
      limits,
    })
    if (verdict !== 'ok') return verdict
    if (stdout.trim() !== output) return 'wrong answer'
  }
  return 'accepted'
}

const tests: readonly Test[] = [
  { input: '1 2\n', output: '3' },
  { input: '40 2\n', output: '42' },
]

const submissions = {
  'a good one': 'print(sum(map(int, input().split())))',
  'a wrong one': 'print(3)',
  'one that crashes': 'print(1 // 0)',
  'a fork bomb': 'import os\nwhile True: os.fork()',
  'a memory bomb': 'kept = []\nwhile True: kept.append(bytearray(1 << 20))',
  'endless output': 'while True: print("x" * 1000)',
  'an endless loop': 'while True: pass',
  'one that sleeps': 'import time\ntime.sleep(1000)',
  'one that fills the disk': 'open("/var/tmp/full", "wb").write(bytes(4 << 20))',
}
for (const [name, submission] of Object.entries(submissions)) console.log(`${name}: ${await judge(submission, tests)}`)
