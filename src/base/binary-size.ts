/** Sizes of memory as docker prints them: powers of 1024, four digits that count. docker: go-units BytesSize */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** `1.5MiB` */
export function binarySizeText(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${Number(value.toPrecision(4))}${UNITS[unit] ?? 'B'}`
}
