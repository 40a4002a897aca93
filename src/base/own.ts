/**
 * What a table has under a word that somebody wrote. Every object has more than it was given, such as `constructor`: a table is not asked for
 * such words by `table[word]` (SECURITY-CHECKS S308).
 */
export const own = <Value>(table: Readonly<Record<string, Value>>, word: string): Value | undefined =>
  hasOwn(table, word) ? table[word] : undefined

export const hasOwn = (table: object, word: string): boolean => Object.prototype.propertyIsEnumerable.call(table, word)
