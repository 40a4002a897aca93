/** Programs that connect a network namespace without privilege: they make connections of a user out of its packets. */

import type { Files } from '../base/files.ts'

export const CONNECTORS = ['pasta', 'slirp4netns'] as const
export type Connector = (typeof CONNECTORS)[number]

/** The package that has it. */
export const CONNECTOR_PACKAGES: Readonly<Record<Connector, string>> = { pasta: 'passt', slirp4netns: 'slirp4netns' }

/** Its path; undefined where it is not installed. */
export const findConnector = (files: Files, name: Connector): string | undefined =>
  ['/run/wrappers/bin', '/usr/local/bin', '/usr/bin', '/bin']
    .map((directory) => `${directory}/${name}`)
    .find((path) => files.status(path) !== undefined)

/** Those that are installed, the one that is preferred first. */
export const installedConnectors = (files: Files): readonly Connector[] =>
  CONNECTORS.filter((name) => findConnector(files, name) !== undefined)
