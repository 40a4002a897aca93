/** One step as one line: what it is assigned to, the call, and what its result may be. */

import { sizeBytesOf } from '../linux/bytes.ts'
import type { Buffer } from '../linux/call.ts'
import { callText, type ShowOptions } from '../linux/signatures-show.ts'
import type { Check, Step } from '../plan/plan.ts'

/** `root = openat2(…)`, `mkdirat(…) or EEXIST`, `read(…) if ack[16:20] == 0 else EIO`. */
export function stepText(step: Step, options: ShowOptions = {}): string {
  const kept = [step.into, ...(step.keep ?? []).map(({ slot }) => slot)].flatMap((slot) =>
    slot === undefined ? [] : [options.slotName?.(slot) ?? slot.slot],
  )
  const target = kept.length === 0 ? '' : `${kept.join(', ')} = `
  return `${target}${callText(step.call, options)}${conditionText(step)}`
}

/** Which answers are taken besides success, and which successes are not. */
export function conditionText({ check, retry, tolerate, otherwise }: Step): string {
  const conditions: string[] = []
  if (check !== undefined) conditions.push(`${checkText(check)} else ${check.errno}`)
  if (retry !== undefined) conditions.push(`again while ${retry.join(' or ')}`)
  // With steps of its own the tolerated errno stands above them.
  if (tolerate !== undefined && otherwise === undefined) conditions.push(`or ${tolerate.join(' or ')}`)
  return conditions.map((condition) => ` ${condition}`).join(',')
}

function checkText(check: Check): string {
  if ('result' in check) return `== ${sizeBytesOf(check.result)}`
  if ('resultAtLeast' in check) return `>= ${check.resultAtLeast}`
  const bytes = bytesText(check.in, check.offset, check.sizeBytes)
  if ('differs' in check) return `if ${bytes} != ${check.differs}`
  // Small numbers count something, large ones name a type of file system.
  if (check.mask === undefined) return `if ${bytes} == ${check.equals < 256 ? check.equals : hexadecimal(check.equals)}`
  return `if ${bytes} & ${hexadecimal(check.mask)} == ${hexadecimal(check.equals)}`
}

const hexadecimal = (value: number): string => `0x${value.toString(16)}`

const bytesText = ({ buffer }: Buffer, offset: number, sizeBytes: number): string =>
  `${buffer}[${offset}:${offset + sizeBytes}]`
