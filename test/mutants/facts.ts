/** What a container was seen to be, and what it has to be: the two sides of every mutant. */

/** By name; a fact that nobody told is undefined. */
export type Facts = ReadonlyMap<string, string>

export interface Check {
  /** Of SECURITY-CHECKS, or the word for what every container has to do. */
  readonly number: string
  readonly claim: string
  readonly holds: (fact: (name: string) => string) => boolean
}

/** A check that one fact is as it has to be. */
export const is = (number: string, claim: string, name: string, value: string | RegExp): Check => ({
  number,
  claim,
  holds: (fact) => (typeof value === 'string' ? fact(name) === value : value.test(fact(name))),
})

export const failed = (facts: Facts, checks: readonly Check[]): readonly string[] =>
  checks
    .filter(({ holds }) => !holds((name) => facts.get(name) ?? 'untold'))
    .map(({ number, claim }) => `${number}: ${claim}`)

/** Lines `name value`; of a name that comes twice, all values in order. */
export function factsIn(text: string): Map<string, string> {
  const facts = new Map<string, string>()
  for (const line of text.trim().split('\n')) {
    const at = line.search(/\s/)
    const name = at < 0 ? line : line.slice(0, at)
    const value = at < 0 ? '' : line.slice(at + 1).trim()
    facts.set(name, facts.has(name) ? `${facts.get(name)}\n${value}` : value)
  }
  return facts
}
