/** What is hidden or protected in a container is so for root, as programs inside find out. */

import { afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { ADMIN } from './bundle.ts'
import { expectNothingLeft, makeSite } from './site.ts'

afterEach(expectNothingLeft)

const PATHS = '/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger'.split(' ')

test('read-only paths are not written to, and keep the flags of the mount that they lie in (S27, S48)', () => {
  using site = makeSite()
  const flags = { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] }
  const mountinfo = site.inside('cat /proc/self/mountinfo', { mounts: [flags] })
  for (const path of PATHS.filter(existsSync)) {
    const options =
      mountinfo
        .split('\n')
        .find((line) => line.split(' ')[4] === path)
        ?.split(' ')[5] ?? ''
    expect([path, options.split(',').sort()]).toEqual([path, ['nodev', 'noexec', 'nosuid', 'relatime', 'ro']])
  }
  const before = readFileSync('/proc/sys/vm/swappiness', 'utf8')
  const files = ['/proc/sys/vm/swappiness', '/proc/sys/kernel/hostname', '/proc/irq/default_smp_affinity'].filter(
    existsSync,
  )
  const script = `for f in ${files.join(' ')}; do (echo 7 >$f) 2>&1; done; exit 0`
  const lines = site.inside(script, ADMIN).trim().split('\n')
  expect(lines.filter((line) => line.includes('Read-only file system'))).toHaveLength(files.length)
  expect(readFileSync('/proc/sys/vm/swappiness', 'utf8')).toBe(before)
})

test('masked files read as empty and masked directories have nothing in them, for init and for exec (S47)', () => {
  using site = makeSite()
  const masked = [
    '/proc/kcore',
    '/proc/keys',
    '/proc/timer_list',
    '/proc/acpi',
    '/proc/scsi',
    '/sys/firmware',
    '/proc/self/environ',
    '/etc/passwd',
    '/bin/../etc',
    '/absent',
  ]
  const script =
    'for p in /proc/keys /proc/timer_list /etc; do if [ -d $p ]; then ls -A $p; (touch $p/x) 2>/dev/null && echo written; else cat $p; stat -c %t:%T $p; fi; done'
  const changes = { ...ADMIN, 'linux.maskedPaths': masked }
  expect(site.inside(`${script}; exit 0`, changes)).toBe('1:3\n1:3\n')
  site.up(changes)
  expect(site.exec(`${script}; exit 0`).stdout).toBe('1:3\n1:3\n')
})

test('the doors of the kernel are closed to root in a container (S49)', () => {
  using site = makeSite()
  const doors = [
    '/proc/sys/kernel/core_pattern',
    '/proc/sys/kernel/modprobe',
    '/proc/sys/kernel/poweroff_cmd',
    '/proc/sys/fs/binfmt_misc/register',
    '/sys/kernel/uevent_helper',
    '/sys/kernel/mm/ksm/run',
    '/proc/sys/kernel/hotplug',
  ]
  const watched = doors.filter((path) => existsSync(path) && (statSync(path).mode & 0o400) !== 0)
  const before = watched.map((path) => readFileSync(path, 'utf8'))
  const written = site.inside(`for d in ${doors.join(' ')}; do (echo core >$d) 2>/dev/null && echo $d; done; exit 0`, {
    'root.readonly': false,
  })
  expect(written).toBe('')
  expect(watched.map((path) => readFileSync(path, 'utf8'))).toEqual(before)
})
