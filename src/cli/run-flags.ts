/** The flags of `coffer run`, with docker's names. */

import type { Flag } from '../base/flags.ts'

export const RUN_FLAGS: readonly Flag[] = [
  { name: 'interactive', short: 'i', type: 'bool', help: 'keep standard input open' },
  { name: 'tty', short: 't', type: 'bool', help: 'give it a terminal' },
  { name: 'detach', short: 'd', type: 'bool', help: 'run it in the background, and print its id' },
  { name: 'rm', type: 'bool', help: 'remove it when it has ended' },
  { name: 'entrypoint', type: 'string', value: 'PROGRAM', help: "instead of the image's" },
  { name: 'rootfs', type: 'string', value: 'DIR', help: 'use this directory as its root, instead of an image' },
  { name: 'name', type: 'string', value: 'NAME', help: 'its name; made up if not given' },
  { name: 'hostname', short: 'h', type: 'string', value: 'NAME', help: 'its host name; its name if not given' },
  {
    name: 'env',
    short: 'e',
    type: 'list',
    value: 'NAME[=VALUE]',
    help: 'add to its environment; without a value, that of the caller',
  },
  { name: 'workdir', short: 'w', type: 'string', value: 'DIR', help: 'its working directory' },
  { name: 'user', short: 'u', type: 'string', value: 'UID[:GID]', help: 'who it runs as' },
  { name: 'volume', short: 'v', type: 'list', value: 'SOURCE:DIR[:ro]', help: 'show a path of this machine in it' },
  { name: 'tmpfs', type: 'list', value: 'DIR[:OPTIONS]', help: 'an empty directory in memory' },
  { name: 'read-only', type: 'bool', help: 'make its root read-only' },
  { name: 'privileged', type: 'bool', help: 'all capabilities and devices, no seccomp filter, nothing hidden' },
  { name: 'cap-add', type: 'list', value: 'CAP', help: 'add a capability, or ALL' },
  { name: 'cap-drop', type: 'list', value: 'CAP', help: 'drop a capability, or ALL' },
  { name: 'memory', short: 'm', type: 'string', value: 'BYTES', help: 'memory, e.g. 512m' },
  { name: 'memory-swap', type: 'string', value: 'BYTES', help: 'memory and swap together; -1 is no limit' },
  { name: 'memory-reservation', type: 'string', value: 'BYTES', help: 'memory that is left to it under pressure' },
  { name: 'cpus', type: 'string', value: 'NUMBER', help: 'CPUs it may use, e.g. 0.5' },
  { name: 'cpu-shares', short: 'c', type: 'int', value: 'N', help: 'share of CPU time, relative to others' },
  { name: 'cpu-quota', type: 'int', value: 'N', help: 'CPU time in a period in microseconds' },
  { name: 'cpu-period', type: 'int', value: 'N', help: 'the period in microseconds' },
  { name: 'cpuset-cpus', type: 'string', value: 'LIST', help: 'CPUs to use, e.g. 0-3,7' },
  { name: 'cpuset-mems', type: 'string', value: 'LIST', help: 'memory nodes to use' },
  { name: 'pids-limit', type: 'int', value: 'N', help: 'processes and threads' },
  ...(['pid', 'network', 'ipc', 'uts', 'cgroupns', 'time', 'mount-ns'] as const).map(
    (name): Flag => ({
      name,
      type: 'string',
      value: 'private|host|container:NAME|ns:PATH',
      help: `its ${name === 'cgroupns' ? 'cgroup' : name} namespace`,
    }),
  ),
  { name: 'net', type: 'string', value: 'private|host|none|ns:PATH', help: 'short for --network' },
]
