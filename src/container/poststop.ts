/** poststop hooks: a failed one is told, and changes nothing. Source: oci:runtime-spec/runtime.md#lifecycle */

import type { Report } from '../executor/report.ts'
import { errnoName } from '../linux/errno.ts'
import type { Hook } from '../oci/hooks.ts'
import { poststopWarnings } from '../plan/hook-endings.ts'

/** `report` is that of the plan that ran these hooks. */
export function warnOfPoststop(report: Report, hooks: readonly Hook[], warn: (text: string) => void): void {
  for (const text of poststopWarnings(hooks, report, errnoName)) warn(text)
}
