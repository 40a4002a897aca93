/** A process in namespaces of its own, for tools that go there. */

import { COFFER } from './call.ts'

export interface Target extends AsyncDisposable {
  readonly pid: number
}

/** Runs `setup` in a shell in new namespaces, as `flags` of unshare ask for them, and then waits. */
export async function startTarget(flags: readonly string[], setup = ':'): Promise<Target> {
  // The shell says its pid as this procfs has it: /proc/self is read before a new pid namespace has its own.
  const script = `${setup}; readlink /proc/self >/dev/null; echo up; read end`
  const child = Bun.spawn([COFFER, 'unshare', ...flags, 'sh', '-c', script], { stdin: 'pipe', stdout: 'pipe' })
  const reader = child.stdout.getReader()
  const { value } = await reader.read()
  if (new TextDecoder().decode(value) !== 'up\n') throw new Error('the target did not start')
  const pid = flags.some((flag) => /^(--fork|-\w*f)/.test(flag)) ? onlyChildOf(child.pid) : child.pid
  return {
    pid,
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      await child.exited
    },
  }
}

function onlyChildOf(pid: number): number {
  const { stdout } = Bun.spawnSync(['ps', '--ppid', String(pid), '-o', 'pid='])
  return Number(stdout.toString().trim())
}
