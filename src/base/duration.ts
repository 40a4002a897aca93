/** Times as Go prints and reads them: `1h30m`, `500ms`, `2.5s`. */

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 0.001, ns: 0.000001 }

/** Undefined for what is no time above zero. */
export function durationMs(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(h|ms|us|ns|m|s))+$/.test(text)) return undefined
  let total = 0
  for (const [, number = '', , unit = ''] of text.matchAll(/(\d+(\.\d+)?)(h|ms|us|ns|m|s)/g))
    total += Number(number) * (UNIT_MS[unit] ?? 0)
  return total > 0 ? total : undefined
}
