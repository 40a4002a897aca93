/** Cases of the library: the same bodies run as a program under Node and under Bun, as the library's users do. */

export type Cases = Readonly<Record<string, () => Promise<void> | void>>

/** What the program prints, one line a case. */
export interface CaseReport {
  readonly name: string
  /** The stack of what was thrown. */
  readonly error?: string
}
