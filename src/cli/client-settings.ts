/** What a person has written for docker's command line: `$DOCKER_CONFIG/config.json`. Source: docker: docs/reference/commandline/cli.md */

import { OperationError } from '../base/errors.ts'
import { optionalString, type Section } from '../base/field.ts'
import { dockerConfigPath, readDockerConfig } from '../image/docker-config.ts'
import { warn } from './command.ts'
import type { Session } from './open.ts'

/** What `read` makes of the file; undefined if there is none. One that cannot be understood is told, and no failure, as with docker. */
export function fromDockerConfig<Result>(
  session: Session,
  read: (document: Section) => Result | undefined,
): Result | undefined {
  const path = dockerConfigPath(session.env.get('DOCKER_CONFIG'), session.env.get('HOME'))
  try {
    const text = session.engine.machine.files.readText(path)
    return text === undefined ? undefined : readDockerConfig(text, path, read)
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    // HOME may be somebody else's, behind su(1): then it says nothing to this caller.
    if (error.code !== 'EACCES' && !session.told.has(error.message)) warn(session, error.message)
    session.told.add(error.message)
    return undefined
  }
}

type Setting = 'psFormat' | 'imagesFormat' | 'networksFormat' | 'volumesFormat' | 'statsFormat' | 'detachKeys'

/** Undefined if nothing is said. */
export const clientSetting = (session: Session, name: Setting): string | undefined =>
  fromDockerConfig(session, (document) => optionalString(document, name)) || undefined
