/** Addresses of IPv4 and IPv6 as people write them. RFC 5952 */

export function addressText(address: Uint8Array): string {
  if (address.length === 4) return address.join('.')
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((address[index * 2] ?? 0) << 8) | (address[index * 2 + 1] ?? 0)).toString(16),
  )
  // The longest run of two zeros or more is left out, the first of equal ones.
  const runs = [...groups.join(' ').matchAll(/\b0(?: 0)+\b/g)].map(([run]) => run.split(' ').length)
  const longest = Math.max(0, ...runs)
  if (longest === 0) return groups.join(':')
  const start = groups.findIndex((_, index) => groups.slice(index, index + longest).join('') === '0'.repeat(longest))
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + longest).join(':')}`
}
