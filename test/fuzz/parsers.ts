/** The other readers: what comes from a command line, from the kernel, from an image or from the executor, each changed at random. */

import { durationMs } from '../../src/base/duration.ts'
import { OperationError } from '../../src/base/errors.ts'
import type { FileStatus, Files } from '../../src/base/files.ts'
import { parseFlags } from '../../src/base/flags.ts'
import { RUN_FLAGS } from '../../src/cli/run-flags.ts'
import { parseRecord } from '../../src/container/record.ts'
import { parseReport } from '../../src/executor/report.ts'
import { parseAddress, parseAnswers } from '../../src/linux/netlink-read.ts'
import { parseSignal } from '../../src/linux/signals.ts'
import { readCgroupLayout } from '../../src/observe/cgroup.ts'
import { parseCount, parseCounts, parseRanges } from '../../src/observe/count.ts'
import { missingInterpreter } from '../../src/observe/interpreter.ts'
import { findMount, parseMountInfo } from '../../src/observe/mounts.ts'
import { parseOomKills } from '../../src/observe/oom.ts'
import { parsePressure } from '../../src/observe/pressure.ts'
import { parseIdMap, parsePids, parseProcessStat, statusField } from '../../src/observe/process.ts'
import { parseSubIds } from '../../src/observe/subids.ts'
import { parseGroup, parsePasswd, resolveGroups, resolveUser } from '../../src/observe/users.ts'
import { parseMountOptions } from '../../src/oci/mount-options.ts'
import { capturedFiles } from '../captured-files.ts'
import { mutateText } from './mutate.ts'
import { newRandom, type Random } from './random.ts'

export interface ParsersRun {
  readonly inputs: number
  readonly faults: readonly string[]
}

/** A reader, and inputs that it takes. */
interface Reader {
  readonly seeds: readonly string[]
  readonly read: (text: string) => unknown
}

const MOUNTINFO = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
31 22 0:27 /a\\040b /sys/fs/cgroup/memory rw master:3 propagate_from:2 - cgroup cgroup rw,memory
`
const CGROUP = '5:memory:/user\n4:cpu,cpuacct:/\n1:name=systemd:/init\n0::/user.slice\n'
const CGROUPS = '#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t4\t1\t1\nmemory\t5\t9\t1\nnet_cls\t0\t1\t1\n'
const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:a user:/home/user:/bin/sh\n'
const GROUP = 'root:x:0:\nwheel:x:10:root,user\n'
const STAT = `7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 333 1 2 ${'0 '.repeat(28)}\n`
const PRESSURE = 'some avg10=0.00 avg60=1.50 avg300=0.00 total=12345\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n'
const STATUS = 'Name:\tsh\nNSpid:\t7\t1\nCapEff:\t0000003fffffffff\n'
const RECORD = JSON.stringify({
  version: 1,
  ociVersion: '1.0.2',
  id: 'a',
  bundle: '/b',
  rootfs: '/b/r',
  created: '2026',
  cgroup: {},
})

const layoutOf = (mountinfo: string, cgroup: string, cgroups: string): unknown =>
  readCgroupLayout(
    capturedFiles({ '/proc/self/mountinfo': mountinfo, '/proc/self/cgroup': cgroup, '/proc/cgroups': cgroups }),
    { hugepages: true, unprivilegedUid: 1000 },
  )

const READERS: Readonly<Record<string, Reader>> = {
  flags: {
    seeds: [
      '--memory 1m -it --env A=B alpine sh',
      '--name=x --publish 80:80 -- sh -c true',
      '-v /a:/b:ro --read-only x',
    ],
    read: (text) => {
      const words = text.split(' ')
      const { rest, isSet, list, int } = parseFlags(words, RUN_FLAGS, 'run', { mixed: words.length % 2 === 0 })
      const { bool, string } = parseFlags(words, RUN_FLAGS, 'run')
      return [
        rest,
        RUN_FLAGS.map(
          ({ name, type }) =>
            isSet(name) && (type === 'int' ? int : type === 'list' ? list : type === 'bool' ? bool : string)(name),
        ),
      ]
    },
  },
  'mount options': {
    seeds: [
      'rbind,rro,rprivate,nosuid,noexec',
      'size=10%,mode=1777,uid=0,tmpcopyup',
      'idmap,ridmap,relatime,X-mount.mkdir',
    ],
    read: (text) =>
      ['tmpfs', 'bind', 'proc', 'overlay'].map((type) => parseMountOptions({ type, options: text.split(',') })),
  },
  mountinfo: {
    seeds: [MOUNTINFO],
    read: (text) => [findMount(parseMountInfo(text), '/sys/fs'), layoutOf(text, CGROUP, CGROUPS)],
  },
  cgroup: { seeds: [CGROUP], read: (text) => layoutOf(MOUNTINFO, text, CGROUPS) },
  cgroups: { seeds: [CGROUPS], read: (text) => layoutOf(MOUNTINFO, CGROUP, text) },
  passwd: {
    seeds: [PASSWD],
    read: (text) => [parsePasswd(text), resolveUser('user:wheel', { passwd: text, group: GROUP })],
  },
  group: {
    seeds: [GROUP],
    read: (text) => [parseGroup(text), resolveGroups(['wheel', '10'], { passwd: PASSWD, group: text })],
  },
  user: {
    seeds: ['user:wheel', '1000:10', 'root'],
    read: (text) => resolveUser(text, { passwd: PASSWD, group: GROUP }),
  },
  subids: { seeds: ['user:100000:65536\n1000:1:2\n'], read: (text) => parseSubIds(text, { uid: 1000, name: 'user' }) },
  stat: { seeds: [STAT], read: parseProcessStat },
  status: { seeds: [STATUS], read: (text) => [statusField(text, 'NSpid'), statusField(text, 'CapEff')] },
  'id map': { seeds: ['         0     100000      65536\n 65536 1 1\n'], read: parseIdMap },
  pids: { seeds: ['1\n22\n333\n'], read: parsePids },
  counts: {
    seeds: ['usage_usec 12\nnr_periods 18446744073709551615\noom_kill 3\n', 'max\n', '0-3,5\n'],
    read: (text) => [parseCounts(text), parseCount(text), parseRanges(text), parseOomKills(text)],
  },
  pressure: { seeds: [PRESSURE], read: parsePressure },
  signal: { seeds: ['TERM', 'SIGRTMIN+3', '15'], read: parseSignal },
  duration: { seeds: ['5s', '1h30m', '100ms'], read: durationMs },
  record: { seeds: [RECORD], read: (text) => parseRecord(text, '/run/coffer/a/state.json') },
  interpreter: { seeds: ['#!/bin/sh -e\necho\n', elf('/lib64/ld.so')], read: (text) => interpreterOf(bytesOf(text)) },
  netlink: { seeds: [netlinkAnswer()], read: (text) => parseAnswers(bytesOf(text)).map(parseAddress) },
  report: { seeds: [report()], read: (text) => readReport(bytesOf(text)) },
}

export const READER_NAMES: readonly string[] = Object.keys(READERS)

/** `count` inputs for each reader. */
export function fuzzParsers(count: number, seed: number): ParsersRun {
  const faults = READER_NAMES.flatMap((name) => {
    const random = newRandom(seed)
    const { seeds, read } = READERS[name] as Reader
    return Array.from({ length: count }, () => faultOf(name, read, changed(random, random.of(seeds)))).filter(
      (fault) => fault !== undefined,
    )
  })
  return { inputs: count * READER_NAMES.length, faults }
}

function faultOf(name: string, read: Reader['read'], text: string): string | undefined {
  try {
    read(text)
    return undefined
  } catch (error) {
    // Only a report comes from a part of coffer itself.
    if (error instanceof OperationError && (error.kind !== 'bug' || name === 'report')) return undefined
    return `${name}: ${error instanceof Error ? error.stack : error}\n  ${JSON.stringify(text.slice(0, 500))}`
  }
}

/** Half of the changes keep the length: numbers of binary formats stay where they are. */
function changed(random: Random, seed: string): string {
  let text = seed
  for (let changes = 1 + random.below(4); changes > 0; changes--)
    if (random.below(2) === 0) text = mutateText(random, text)
    else {
      const at = random.below(text.length + 1)
      text = text.slice(0, at) + String.fromCharCode(random.of([0, 1, 4, 0x7f, 0x80, 0xff])) + text.slice(at + 1)
    }
  return text
}

/** Binary inputs are texts with a character for each byte. */
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff)
}
function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

function elf(interpreter: string): string {
  const bytes = new Uint8Array(192)
  const view = new DataView(bytes.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  view.setUint32(32, 64, true)
  view.setUint16(54, 56, true)
  view.setUint16(56, 1, true)
  view.setUint32(64, 3, true)
  view.setUint32(72, 128, true)
  view.setUint32(96, interpreter.length + 1, true)
  bytes.set(bytesOf(interpreter), 128)
  return textOf(bytes)
}

function interpreterOf(bytes: Uint8Array): unknown {
  const status: FileStatus = {
    kind: 'file',
    mode: 0o755,
    uid: 0,
    gid: 0,
    links: 1,
    sizeBytes: 0,
    device: { major: 0, minor: 0 },
    identity: '',
  }
  const files: Files = {
    readText: () => undefined,
    readBytes: () => bytes,
    list: () => undefined,
    readLink: (path) => (path.endsWith('/link') ? '../link/x' : undefined),
    status: () => status,
  }
  return missingInterpreter(files, '/image', '/app')
}

/** RTM_NEWADDR of 127.0.0.1 on lo, with IFA_LOCAL and IFA_FLAGS. */
function netlinkAnswer(): string {
  const address = [2, 8, 0x80, 254, 1, 0, 0, 0, 8, 0, 2, 0, 127, 0, 0, 1, 8, 0, 8, 0, 0x80, 0, 0, 0]
  const header = [16 + address.length, 0, 0, 0, 20, 0, 2, 0, 1, 0, 0, 0, 7, 0, 0, 0]
  return textOf(Uint8Array.from([...header, ...address, ...header, ...address]))
}

const BYTES = { buffer: 'bytes', sizeBytes: 8 }

/** Of a failed plan: one failure, one slot, eight bytes that were read, one line of a trace. */
function report(): string {
  const words = new Uint32Array(8 + 6 + 2 + 8 + 2)
  words.set([words.byteLength, 1, 3, 1, 1, 8, 1, 0, 0, 2, 0, 0, 7])
  return textOf(new Uint8Array(words.buffer))
}

function readReport(frame: Uint8Array): unknown {
  const read = parseReport(frame, { slots: new Map([['pid', 0]]), reads: [BYTES] })
  return [read.slot({ slot: 'pid' }), read.bytes(BYTES), read.failures, read.trace]
}
