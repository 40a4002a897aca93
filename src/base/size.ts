/** Sizes as docker prints them: powers of 1000, three digits that count. docker: go-units HumanSizeWithPrecision */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** `4.26MB`, `512B`. */
export function sizeText(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${Number(value.toPrecision(3))}${UNITS[unit] ?? 'B'}`
}
