/** The Linux security modules that are active. Source: kernel:admin-guide/LSM/index.rst */

import type { Files } from '../base/files.ts'

const LIST = '/sys/kernel/security/lsm'

/** `capability`, `apparmor`, …; undefined where securityfs is not mounted, and nobody can say. */
export const readSecurityModules = (files: Files): readonly string[] | undefined =>
  files.readText(LIST)?.trim().split(',')
