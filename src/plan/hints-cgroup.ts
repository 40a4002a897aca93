/** Hints for control groups: hints.ts. */

import type { HintFacts, Rule } from './hints-rule.ts'

const V2 = 'kernel:admin-guide/cgroup-v2.rst'

/** How a user gets a cgroup of its own from systemd; systemd-run(1), systemd.resource-control(5) "Delegate=". */
const delegate = ({ isRootless }: HintFacts): string =>
  `systemd-run ${isRootless ? '--user ' : ''}--scope -p Delegate=yes coffer …`

export const cgroupRules = (): readonly Rule[] => [
  {
    calls: 'write',
    errnos: 'EBUSY',
    about: /cgroup\.subtree_control/,
    hint: (facts) =>
      `a cgroup with processes cannot give controllers to its children; give coffer its own: ${delegate(facts)}`,
    see: [`${V2} "No Internal Process Constraint"`],
  },
  {
    calls: 'write',
    errnos: 'ENOENT',
    about: /cgroup\.subtree_control/,
    hint: (facts) =>
      `the cgroup has no such controller to hand on (its cgroup.controllers); each cgroup above has to hand it on first, or systemd has to: ${delegate(facts)}`,
    see: [`${V2} "Enabling and Disabling"`, `${V2} "Top-down Constraint"`],
  },
  {
    calls: 'write',
    errnos: 'EINVAL',
    about: /cgroup\.subtree_control/,
    hint: 'this kernel has no such controller for cgroup v2; /sys/fs/cgroup/cgroup.controllers lists those it has',
    see: [`${V2} "Enabling and Disabling"`],
  },
  {
    calls: 'clone3 write',
    errnos: 'EBUSY',
    about: /cgroup=|cgroup\.procs/,
    hint: 'that cgroup hands controllers on, so no process can be in it; name one below it in linux.cgroupsPath',
    see: [`${V2} "No Internal Process Constraint"`],
  },
  {
    calls: 'mkdirat openat write clone3',
    errnos: 'EACCES EPERM',
    about: /\/sys\/fs\/cgroup|cgroup=|cgroup\.procs|cgroup\.subtree_control/,
    when: ({ isRootless }) => isRootless,
    hint: (facts) => `this cgroup was not given to this user; have systemd give one: ${delegate(facts)}`,
    see: [`${V2} "Delegation"`],
  },
  {
    calls: 'mkdirat openat write',
    errnos: 'EROFS',
    about: /\/sys\/fs\/cgroup|cgroup/,
    hint: 'the cgroup file system is read-only here, as it is in most containers; start the outer container with a writable /sys/fs/cgroup',
    see: ['cgroups(7)'],
  },
  {
    calls: 'mkdirat',
    errnos: 'EAGAIN',
    about: /cgroup/,
    hint: 'a cgroup above allows no more cgroups below it (cgroup.max.depth, cgroup.max.descendants); remove some, or raise its limit',
    see: [`${V2} "cgroup.max.descendants"`],
  },
  {
    calls: 'mkdirat',
    errnos: 'ENOSPC',
    about: /cgroup.*memory|memory.*cgroup/,
    hint: 'the kernel counts 65,535 memory cgroups at most, removed ones that still hold memory among them; remove some, then: echo 3 > /proc/sys/vm/drop_caches',
    see: ['kernel:admin-guide/cgroup-v1/memory.rst'],
  },
  {
    calls: 'write',
    errnos: 'ENOSPC',
    about: /tasks|cgroup\.procs/,
    hint: 'the cpuset has no CPU or no memory node yet; give it both: linux.resources.cpu.cpus and linux.resources.cpu.mems',
    see: ['cpuset(7)'],
  },
]

/** Values that one controller refuses. */
export const controllerRules = (): readonly Rule[] => [...processorRules(), ...memoryRules(), ...deviceRules()]

const processorRules = (): readonly Rule[] => [
  {
    calls: 'write',
    errnos: 'EINVAL',
    about: /burst/,
    hint: 'linux.resources.cpu.burst must not be more than linux.resources.cpu.quota',
    see: [`${V2} "cpu.max.burst"`, 'kernel:scheduler/sched-bwc.rst'],
  },
  {
    calls: 'write',
    errnos: 'EINVAL',
    about: /cpu\.(cfs_|max)/,
    hint: 'linux.resources.cpu.quota is at least 1,000 µs, period 1,000 to 1,000,000 µs, and on cgroup v1 no cgroup gets a larger share than the one above it',
    see: ['kernel:scheduler/sched-bwc.rst'],
  },
  {
    calls: 'openat',
    errnos: 'ENOENT',
    about: /cpu\.rt_/,
    hint: 'this kernel cannot give real-time CPU to cgroups (CONFIG_RT_GROUP_SCHED is off); leave linux.resources.cpu.realtimeRuntime and realtimePeriod out',
    see: ['kernel:scheduler/sched-rt-group.rst'],
  },
  {
    calls: 'write',
    errnos: 'EINVAL',
    about: /cpu\.rt_/,
    hint: 'each cgroup above needs at least as much real-time CPU: write to its cpu.rt_runtime_us first',
    see: ['kernel:scheduler/sched-rt-group.rst'],
  },
  {
    calls: 'write',
    errnos: 'EACCES',
    about: /cpuset\.(cpu|mem)s/,
    hint: 'the cgroup above may not use all of these; choose among those in its cpuset.cpus and cpuset.mems',
    see: ['cpuset(7)'],
  },
  {
    calls: 'write',
    errnos: 'EINVAL ERANGE',
    about: /cpuset\.(cpu|mem)s/,
    hint: 'this machine has only the CPUs of /sys/devices/system/cpu/online and the nodes of /sys/devices/system/node/online',
    see: ['cpuset(7)'],
  },
]

const memoryRules = (): readonly Rule[] => [
  {
    calls: 'write',
    errnos: 'EINVAL',
    about: /memory\.(memsw\.)?limit_in_bytes/,
    hint: 'linux.resources.memory.swap counts memory and swap together, so it must not be less than memory.limit',
    see: ['kernel:admin-guide/cgroup-v1/memory.rst', 'oci:runtime-spec/config-linux.md#memory'],
  },
  {
    calls: 'write',
    errnos: 'EBUSY',
    about: /memory\.(memsw\.)?limit_in_bytes/,
    hint: 'the container uses more than that, and the kernel cannot take it back; choose a higher limit',
    see: ['kernel:admin-guide/cgroup-v1/memory.rst'],
  },
  {
    calls: 'openat',
    errnos: 'ENOENT',
    about: /memory\.(memsw|swap)\./,
    hint: 'this kernel does not count swap; boot it with swapaccount=1, or leave linux.resources.memory.swap out',
    see: ['kernel:admin-guide/kernel-parameters.txt "swapaccount"'],
  },
  {
    calls: 'openat',
    errnos: 'ENOENT',
    about: /hugetlb\./,
    hint: 'this machine has no pages of that size; /sys/kernel/mm/hugepages lists those it has',
    see: ['kernel:admin-guide/cgroup-v1/hugetlb.rst'],
  },
]

const deviceRules = (): readonly Rule[] => [
  {
    calls: 'write',
    errnos: 'ENODEV',
    about: /blkio\.|io\.(max|weight|bfq)/,
    hint: 'linux.resources.blockIO names a disk by major and minor number; it has to exist, and must be a whole disk, not a partition: lsblk',
    see: [`${V2} "io.max"`, 'kernel:admin-guide/cgroup-v1/blkio-controller.rst'],
  },
  {
    calls: 'write',
    errnos: 'EOPNOTSUPP',
    about: /io\.(bfq\.)?weight/,
    hint: 'a weight for one disk needs bfq as its scheduler (echo bfq >/sys/block/NAME/queue/scheduler) or, on a kernel without bfq, its cost model (io.cost.qos)',
    see: ['kernel:block/bfq-iosched.rst', `${V2} "io.cost.qos"`],
  },
  {
    calls: 'openat',
    errnos: 'ENOENT',
    about: /io\.bfq\.weight/,
    hint: 'weights need the I/O scheduler bfq in the kernel: modprobe bfq',
    see: ['kernel:block/bfq-iosched.rst'],
  },
  {
    calls: 'write',
    errnos: 'EPERM',
    about: /devices\.allow/,
    when: ({ isRootless }) => !isRootless,
    hint: 'the cgroup above does not allow that device; its devices.list shows what it allows',
    see: ['kernel:admin-guide/cgroup-v1/devices.rst'],
  },
]
