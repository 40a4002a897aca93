/** What a person has written for docker's command line: `$DOCKER_CONFIG/config.json`. Source: docker: docs/reference/commandline/cli.md */

import { OperationError } from '../base/errors.ts'
import { parseJson } from '../base/json.ts'
import { warn } from './command.ts'
import type { Session } from './open.ts'

type Setting = 'psFormat' | 'imagesFormat' | 'networksFormat' | 'volumesFormat' | 'statsFormat' | 'detachKeys'

/** Undefined if nothing is said. A file that cannot be understood is told, and no failure, as with docker. */
export function clientSetting(session: Session, name: Setting): string | undefined {
  const { env, engine } = session
  const directory = env.get('DOCKER_CONFIG') ?? `${env.get('HOME') ?? ''}/.docker`
  const path = `${directory}/config.json`
  const text = engine.machine.files.readText(path)
  if (text === undefined) return undefined
  try {
    const settings = parseJson(text, path)
    const value = typeof settings === 'object' && settings !== null ? Object.entries(settings) : []
    const found = value.find(([key]) => key === name)?.[1]
    return typeof found === 'string' && found !== '' ? found : undefined
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    warn(session, `Error loading config file: ${error.message}`)
    return undefined
  }
}
