/** The version of package.json, which the build puts in (scripts/build). */

declare const COFFER_VERSION: string

export const VERSION: string = typeof COFFER_VERSION === 'string' ? COFFER_VERSION : 'unbuilt'
