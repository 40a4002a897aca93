/** The version of package.json, which the build puts in (scripts/build). */

declare const COFFER_VERSION: string
declare const COFFER_BUILD: string

export const VERSION: string = typeof COFFER_VERSION === 'string' ? COFFER_VERSION : 'unbuilt'

/** Another one for each change of the sources: what one build has kept is of no use to the next. */
export const BUILD: string = typeof COFFER_BUILD === 'string' ? COFFER_BUILD : 'unbuilt'
