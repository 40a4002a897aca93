/** The version of the OCI runtime specification that coffer implements, and which documents it takes. */

import { requiredString, type Section } from '../base/field.ts'
import { fieldOf, refuse, refuseUnsupported, shown } from '../base/place.ts'

export const OCI_VERSION = '1.3.0'
export const OCI_VERSION_MIN = '1.0.0'

// semver:2.0.0 section 2, 9 and 10.
const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-.]+)?(\+[0-9A-Za-z-.]+)?$/

/**
 * The version a document says it follows. Throws `invalid` for anything but SemVer and `unsupported` from 2.0.0 on.
 *
 * A later 1.x is taken, because the fields it has and 1.3 has not are ones a runtime must ignore. So is 0.x, which runc and crun take too.
 * Source: oci:runtime-spec/config.md#specification-version
 */
export function ociVersionOf(document: Section): string {
  const version = requiredString(document, 'ociVersion')
  const place = fieldOf(document.place, 'ociVersion')
  const match = SEMVER.exec(version)
  if (match === null) refuse(place, `is ${shown(version)}, which is not a version of the form 1.2.3`)
  if (Number(match[1]) > 1) {
    refuseUnsupported(place, `is ${shown(version)}; coffer knows the runtime specification up to ${OCI_VERSION}`)
  }
  return version
}
