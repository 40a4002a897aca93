/** A caller that is slow is waited for. */

import { afterEach, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inTerminal } from '../kernel/in-terminal.ts'
import { injector, installInside } from '../kernel/programs.ts'
import { expectNothingLeft, makeSite } from '../kernel/site.ts'

afterEach(expectNothingLeft)

/** Its number on x86_64. */
const RECVMSG = 47

test('the terminal is like that of the caller before the program begins, however slow the caller is', () => {
  using site = makeSite()
  installInside(site)
  site.configure({ 'process.terminal': true, 'process.args': ['inside', 'tty'] })
  const log = join(site.directory, 'calls')
  const meddling = (...words: readonly string[]): string =>
    inTerminal(site, ['run', site.id], { through: [injector(), log, ...words, '--'] }).stdout
  // The first one makes the run root, too.
  for (let round = 0; round < 2; round++) meddling('list')
  const index = new RegExp(`^0 (\\d+) ${RECVMSG}$`, 'm').exec(readFileSync(log, 'utf8'))?.[1] ?? 'none'
  expect(meddling('at', '0', index, 'do=sleep 0.3')).toMatch(/, 80 by 24\r\n$/)
  expect(readFileSync(log, 'utf8')).toMatch(/^hit /)
})
