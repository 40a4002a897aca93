/**
 * $NOTIFY_SOCKET: whoever started coffer hears from the program itself that it is ready. sd_notify(3)
 *
 * The socket is bound into the container, and the program finds it by its own $NOTIFY_SOCKET. Whoever receives sees the program as the sender,
 * so a service manager that takes messages of certain processes alone has to take those of the container: systemd.service(5) "NotifyAccess".
 */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Config } from '../oci/config.ts'
import type { Mount } from '../oci/mounts.ts'

/** As with runc and podman. A directory of its own, so that it covers nothing of the image. */
const TARGET = '/run/notify/notify.sock'
const VARIABLE = 'NOTIFY_SOCKET'

const MOUNT: Mount = {
  destination: TARGET,
  type: 'bind',
  options: ['bind', 'nosuid', 'noexec', 'nodev'],
  uidMappings: [],
  gidMappings: [],
}

/** Throws `unsupported` for a socket without a path and a container without mounts of its own, `invalid` for what is no socket. */
export function withNotifySocket(files: Files, config: Config, socket: string | undefined): Config {
  if (socket === undefined || socket === '') return config
  if (socket.startsWith('@') || socket.startsWith('vsock:'))
    refuse('unsupported', socket, 'has no path, and only a path can be shown to a container')
  if (!socket.startsWith('/')) refuse('invalid', socket, 'is not absolute')
  if (files.status(socket)?.kind !== 'socket') refuse('invalid', socket, 'is no socket')
  if (!config.linux.namespaces.some(({ type, path }) => type === 'mount' && path === undefined))
    refuse('unsupported', socket, 'can only be shown in a new mount namespace, and linux.namespaces asks for none')
  const { process, mounts } = config
  const env = process.env.filter((entry) => !entry.startsWith(`${VARIABLE}=`))
  return {
    ...config,
    mounts: [...mounts, { ...MOUNT, source: socket }],
    process: { ...process, env: [...env, `${VARIABLE}=${TARGET}`] },
  }
}

function refuse(kind: 'invalid' | 'unsupported', socket: string, problem: string): never {
  throw new OperationError({
    kind,
    operation: `let the container use ${VARIABLE}`,
    reason: `${JSON.stringify(socket)} ${problem}`,
    hint: `run coffer without it: env -u ${VARIABLE} coffer-runc …`,
    see: ['sd_notify(3)'],
  })
}
