/** `coffer info` and `coffer version`: the machine, and what of it coffer has. Names of fields are docker's. */

import { binarySizeText } from '../base/binary-size.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { compileTemplate } from '../base/template.ts'
import { VERSION } from '../base/version.ts'
import { hostOf } from '../container/host.ts'
import { listEngineContainers } from '../engine/containers.ts'
import { kernelName } from '../executor/embedded-process.ts'
import { readImages } from '../image/layout.ts'
import { installedConnectors } from '../observe/connectors.ts'
import { type Command, say } from './command.ts'
import type { Session } from './open.ts'

const FORMAT: readonly Flag[] = [
  { name: 'format', short: 'f', type: 'string', value: 'TEMPLATE', help: 'json, or a template of Go' },
]

export const INFO: readonly Flag[] = FORMAT
export const VERSION_FLAGS: readonly Flag[] = FORMAT

export const info: Command = (session, words) => {
  const given = parseFlags(words, INFO, 'coffer info', { mixed: true })
  if (given.rest.length > 0) throw usage('coffer info', 'it takes flags only')
  const facts = factsOf(session)
  say(session, formatted(facts, given.string('format')) ?? textOf(facts))
  return 0
}

function formatted(value: object, format: string | undefined): string | undefined {
  if (format === undefined) return undefined
  return `${compileTemplate(format === 'json' ? '{{json .}}' : format)(value)}\n`
}

function factsOf({ engine, native }: Session) {
  const { files } = engine.machine
  const host = hostOf(engine.machine)
  const { release, hostname } = kernelName(native)
  const statuses = listEngineContainers(engine).map(({ status }) => status)
  const count = (...wanted: readonly string[]): number => statuses.filter((status) => wanted.includes(status)).length
  const hasController = (name: string): boolean =>
    host.cgroup.available.includes(name) ||
    host.cgroup.hierarchies.some(({ controllers }) => controllers.includes(name))
  const memoryKib = Number(/^MemTotal:\s+(\d+) kB$/m.exec(files.readText('/proc/meminfo') ?? '')?.[1] ?? 0)
  const system = files.readText('/etc/os-release') ?? ''
  return {
    Containers: statuses.length,
    ContainersRunning: count('running', 'restarting'),
    ContainersPaused: count('paused'),
    ContainersStopped: count('created', 'exited'),
    Images: readImages(files, engine.dataRoot).length,
    ServerVersion: VERSION,
    Driver: 'overlay2',
    LoggingDriver: 'local',
    CgroupDriver: 'cgroupfs',
    CgroupVersion: host.cgroup.mode === 'v2' ? '2' : '1',
    Plugins: {
      Volume: ['local'],
      Network: [...(host.isRootless ? installedConnectors(files) : ['bridge']), 'host', 'none'],
      Log: ['local', 'none'],
    },
    SecurityOptions: ['name=seccomp,profile=builtin', ...(host.isRootless ? ['name=rootless'] : ['name=cgroupns'])],
    KernelVersion: release,
    OperatingSystem: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(system)?.[1] ?? 'Linux',
    OSType: 'linux',
    Architecture: host.architecture,
    NCPU: (files.readText('/proc/cpuinfo')?.match(/^processor\s*:/gm) ?? []).length,
    MemTotal: memoryKib * 1024,
    Name: hostname,
    DockerRootDir: engine.dataRoot,
    Debug: false,
    MemoryLimit: hasController('memory'),
    SwapLimit: hasController('memory'),
    PidsLimit: hasController('pids'),
    CPUShares: hasController('cpu'),
    CPUSet: hasController('cpuset'),
    IPv4Forwarding: files.readText('/proc/sys/net/ipv4/ip_forward')?.trim() === '1',
    DefaultRuntime: 'coffer-runc',
    Runtimes: { 'coffer-runc': { path: 'coffer-runc' } },
    InitBinary: 'coffer-init',
    LiveRestoreEnabled: false,
    ExperimentalBuild: false,
    IndexServerAddress: 'https://index.docker.io/v1/',
    Swarm: { NodeID: '', NodeAddr: '', LocalNodeState: 'inactive', ControlAvailable: false, Error: '' },
    Warnings: [] as readonly string[],
  }
}

function textOf(facts: ReturnType<typeof factsOf>): string {
  const { Plugins, SecurityOptions } = facts
  const lines = [
    'Client:',
    ` Version:    ${VERSION}`,
    '',
    'Server:',
    ` Containers: ${facts.Containers}`,
    `  Running: ${facts.ContainersRunning}`,
    `  Paused: ${facts.ContainersPaused}`,
    `  Stopped: ${facts.ContainersStopped}`,
    ` Images: ${facts.Images}`,
    ` Server Version: ${facts.ServerVersion} (no daemon: each command is its own)`,
    ` Storage Driver: ${facts.Driver}`,
    ` Logging Driver: ${facts.LoggingDriver}`,
    ` Cgroup Driver: ${facts.CgroupDriver}`,
    ` Cgroup Version: ${facts.CgroupVersion}`,
    ' Plugins:',
    ...Object.entries(Plugins).map(([kind, names]) => `  ${kind}: ${names.join(' ')}`),
    ' Security Options:',
    ...SecurityOptions.map((option) => `  ${option.replace(/^name=/, '').replace(/,.*/, '')}`),
    ` Kernel Version: ${facts.KernelVersion}`,
    ` Operating System: ${facts.OperatingSystem}`,
    ` OSType: ${facts.OSType}`,
    ` Architecture: ${facts.Architecture}`,
    ` CPUs: ${facts.NCPU}`,
    ` Total Memory: ${binarySizeText(facts.MemTotal)}`,
    ` Name: ${facts.Name}`,
    ` Docker Root Dir: ${facts.DockerRootDir}`,
    ` Debug Mode: ${facts.Debug}`,
  ]
  return lines.map((line) => `${line}\n`).join('')
}

const ARCHITECTURES = { x86_64: 'amd64', aarch64: 'arm64' } as const

/** Who asks docker for both of its halves gets the same answer twice. */
export const version: Command = (session, words) => {
  const given = parseFlags(words, VERSION_FLAGS, 'coffer version', { mixed: true })
  if (given.rest.length > 0) throw usage('coffer version', 'it takes flags only')
  const { release } = kernelName(session.native)
  const half = { Version: VERSION, Os: 'linux', Arch: ARCHITECTURES[session.native.architecture] }
  const both = { Client: half, Server: { ...half, KernelVersion: release } }
  say(session, formatted(both, given.string('format')) ?? `coffer version ${VERSION}\n`)
  return 0
}
