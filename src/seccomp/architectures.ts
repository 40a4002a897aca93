/** What a filter has to know of an architecture. Sources: kernel:include/uapi/linux/audit.h; seccomp(2); libseccomp src/arch-*.c. */

import type { Architecture } from '../linux/syscalls.ts'
import type { SeccompArchitecture } from '../oci/seccomp.ts'

/** The name of the tables, `x86_64` for `SCMP_ARCH_X86_64`. */
export function architectureOf(name: SeccompArchitecture): Architecture {
  return name.slice('SCMP_ARCH_'.length).toLowerCase() as Architecture
}

/** The value of `arch` in `struct seccomp_data`; that of x32 is that of x86_64, with another bit in the number of the call. */
export function auditArch(architecture: Architecture): number {
  switch (architecture) {
    case 'x86_64':
    case 'x32':
      return 0xc000_003e
    case 'x86':
      return 0x4000_0003
    case 'aarch64':
      return 0xc000_00b7
    case 'arm':
      return 0x4000_0028
    case 'loongarch64':
      return 0xc000_0102
    case 'm68k':
      return 0x0000_0004
    case 'mips':
      return 0x0000_0008
    case 'mipsel':
      return 0x4000_0008
    case 'mips64':
      return 0x8000_0008
    case 'mipsel64':
      return 0xc000_0008
    case 'mips64n32':
      return 0xa000_0008
    case 'mipsel64n32':
      return 0xe000_0008
    case 'parisc':
      return 0x0000_000f
    case 'parisc64':
      return 0x8000_000f
    case 'ppc':
      return 0x0000_0014
    case 'ppc64':
      return 0x8000_0015
    case 'ppc64le':
      return 0xc000_0015
    case 'riscv64':
      return 0xc000_00f3
    case 's390':
      return 0x0000_0016
    case 's390x':
      return 0x8000_0016
    case 'sh':
      return 0x4000_002a
    case 'sheb':
      return 0x0000_002a
  }
}

/** The order of the bytes in memory; bit 30 of `AUDIT_ARCH_*` is `__AUDIT_ARCH_LE`. */
export function byteOrder(architecture: Architecture): 'little' | 'big' {
  return (auditArch(architecture) & 0x4000_0000) === 0 ? 'big' : 'little'
}

/**
 * Whether arguments are compared with all of their 64 bits.
 *
 * Where pointers have 32 bits, libseccomp looks at the low half of an argument only, and so does the kernel when it makes the call. That
 * holds for x32 and n32 too, whose registers have 64.
 */
export function comparesWholeArguments(architecture: Architecture): boolean {
  switch (architecture) {
    case 'x86_64':
    case 'aarch64':
    case 'loongarch64':
    case 'mips64':
    case 'mipsel64':
    case 'parisc64':
    case 'ppc64':
    case 'ppc64le':
    case 'riscv64':
    case 's390x':
      return true
    default:
      return false
  }
}

/**
 * Whether sockets and System V IPC are reached through socketcall(2) and ipc(2) as well, whose first argument says which call is meant.
 *
 * Newer kernels have numbers for most of these calls too, so a rule for one of them is about two numbers (libseccomp `abi_rule_add`).
 */
export function multiplexes(architecture: Architecture): boolean {
  switch (architecture) {
    case 'x86':
    case 'm68k':
    case 'mips':
    case 'mipsel':
    case 'ppc':
    case 'ppc64':
    case 'ppc64le':
    case 's390':
    case 's390x':
    case 'sh':
    case 'sheb':
      return true
    default:
      return false
  }
}

/** The slots of socketcall(2) and ipc(2) in the tables of all architectures for which `multiplexes` holds. */
export const SOCKETCALL_SLOT = 102
export const IPC_SLOT = 117

/** What is behind one number: `call` is the first argument, as in linux/net.h and linux/ipc.h. */
export interface MultiplexedCall {
  readonly slot: number
  readonly call: number
}

/** The calls behind socketcall(2) and ipc(2), by name. */
export function multiplexedCalls(): ReadonlyMap<string, MultiplexedCall> {
  calls ??= parseCalls()
  return calls
}

// Sources: kernel:include/uapi/linux/net.h `SYS_*`; kernel:include/uapi/linux/ipc.h; `-` where a number is not used.
const SOCKET_CALLS =
  'socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg'
const IPC_CALLS =
  'semop semget semctl semtimedop - - - - - - msgsnd msgrcv msgget msgctl - - - - - - shmat shmdt shmget shmctl'

let calls: ReadonlyMap<string, MultiplexedCall> | undefined

function parseCalls(): ReadonlyMap<string, MultiplexedCall> {
  const found = new Map<string, MultiplexedCall>()
  for (const [index, name] of SOCKET_CALLS.split(' ').entries())
    found.set(name, { slot: SOCKETCALL_SLOT, call: index + 1 })
  for (const [index, name] of IPC_CALLS.split(' ').entries()) {
    if (name !== '-') found.set(name, { slot: IPC_SLOT, call: index + 1 })
  }
  return found
}
