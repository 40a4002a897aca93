/**
 * The numbers of the system calls that plans are made of. Sources: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.
 *
 * From 424 on both architectures share their numbers. The complete tables, for seccomp, are in syscall-tables.ts.
 */

export type Architecture = 'x86_64' | 'aarch64'

/** `name x86_64 aarch64` */
const TABLE =
  'read 0 63,write 1 64,close 3 57,lseek 8 62,mmap 9 222,mprotect 10 226,munmap 11 215,rt_sigaction 13 134,rt_sigprocmask 14 135,ioctl 16 29,' +
  'pwrite64 18 68,pread64 17 67,' +
  'nanosleep 35 101,getpid 39 172,sendfile 40 71,socket 41 198,connect 42 203,accept4 288 242,sendto 44 206,recvfrom 45 207,sendmsg 46 211,recvmsg 47 212,shutdown 48 210,' +
  'bind 49 200,listen 50 201,getsockname 51 204,socketpair 53 199,setsockopt 54 208,getsockopt 55 209,clone 56 220,exit 60 93,' +
  'kill 62 129,uname 63 160,fcntl 72 25,flock 73 32,fsync 74 82,ftruncate 77 46,getcwd 79 17,chdir 80 49,fchdir 81 50,fchmod 91 52,fchown 93 55,umask 95 166,' +
  'getuid 102 174,syslog 103 116,geteuid 107 175,getegid 108 177,getgid 104 176,setpgid 109 154,getppid 110 173,setsid 112 157,setgroups 116 159,setresuid 117 147,setresgid 119 149,capget 125 90,capset 126 91,' +
  'personality 135 92,fstatfs 138 44,sched_setscheduler 144 119,sched_setparam 142 118,mlockall 151 230,pivot_root 155 41,prctl 157 167,chroot 161 51,sync 162 81,' +
  'mount 165 40,umount2 166 39,sethostname 170 161,setdomainname 171 162,gettid 186 178,setxattr 188 5,lsetxattr 189 6,fsetxattr 190 7,lgetxattr 192 9,fgetxattr 193 10,flistxattr 196 13,sched_setaffinity 203 122,' +
  'exit_group 231 94,tgkill 234 131,mbind 237 235,set_mempolicy 238 237,waitid 247 95,add_key 248 217,request_key 249 218,keyctl 250 219,ioprio_set 251 30,' +
  'inotify_init1 294 26,inotify_add_watch 254 27,openat 257 56,mkdirat 258 34,mknodat 259 33,fchownat 260 54,unlinkat 263 35,linkat 265 37,symlinkat 266 36,readlinkat 267 78,fchmodat 268 53,' +
  'ppoll 271 73,splice 275 76,unshare 272 97,utimensat 280 88,signalfd4 289 74,eventfd2 290 19,epoll_create1 291 20,dup3 292 24,pipe2 293 59,prlimit64 302 261,setns 308 268,sched_setattr 314 274,renameat2 316 276,' +
  'seccomp 317 277,getrandom 318 278,memfd_create 319 279,bpf 321 280,execveat 322 281,copy_file_range 326 285,statx 332 291,getdents64 217 61,execve 59 221,clock_gettime 228 113,getpriority 140 141,setpriority 141 140,setrlimit 160 164,' +
  'pidfd_send_signal 424 424,open_tree 428 428,move_mount 429 429,fsopen 430 430,fsconfig 431 431,fsmount 432 432,fspick 433 433,pidfd_open 434 434,clone3 435 435,' +
  'close_range 436 436,openat2 437 437,pidfd_getfd 438 438,faccessat2 439 439,epoll_pwait2 441 441,mount_setattr 442 442,landlock_create_ruleset 444 444,landlock_add_rule 445 445,' +
  'landlock_restrict_self 446 446,set_mempolicy_home_node 450 450,fchmodat2 452 452,statmount 457 457,listmount 458 458'

/** The number of a call that coffer makes; undefined for a name that is not in its table. */
export function callNumber(name: string, architecture: Architecture): number | undefined {
  return NUMBERS.get(name)?.[architecture === 'x86_64' ? 0 : 1]
}

function parse(): Map<string, readonly [number, number]> {
  const map = new Map<string, readonly [number, number]>()
  for (const row of TABLE.split(',')) {
    const [name = '', x86, arm] = row.split(' ')
    map.set(name, [Number(x86), Number(arm)])
  }
  return map
}

/** Made when the program is built: modules do not run at start. */
const NUMBERS = parse()
