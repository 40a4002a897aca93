/** What the hooks of a container that is made are told, and where what they print goes. */

import type { Slot } from '../linux/call.ts'
import type { Hooks } from '../oci/hooks.ts'
import { HOOK_OUTPUT, type HookKind, type HookState } from './hooks.ts'
import type { ContainerRequest, Ending } from './request.ts'

/** The hooks that end before the executor does, so that it can tell what they printed. */
const HEARD: Readonly<Record<Ending, readonly HookKind[]>> = {
  create: ['prestart', 'createRuntime', 'createContainer'],
  detach: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart'],
  wait: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart'],
  watch: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart'],
}

/** Those of them that the configuration has. */
export function heardHooks({ config, ending }: Pick<ContainerRequest, 'config' | 'ending'>): Partial<Hooks> {
  const kinds = HEARD[ending].filter((kind) => config.hooks[kind].length > 0)
  return Object.fromEntries(kinds.map((kind) => [kind, config.hooks[kind]]))
}

/** All but status and pid, which differ from hook to hook. */
export const hookState = (
  request: ContainerRequest,
  kind: HookKind,
): Pick<HookState, 'ociVersion' | 'id' | 'bundle' | 'annotations'> & { readonly output?: Slot } => ({
  id: request.place.id,
  bundle: request.bundle,
  annotations: request.config.annotations,
  ociVersion: request.config.ociVersion,
  ...(HEARD[request.ending].includes(kind) ? { output: HOOK_OUTPUT } : {}),
})
