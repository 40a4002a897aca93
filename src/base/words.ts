/** Lists of words kept as one string: it loads by a copy, where an array or object literal is built word by word. */

/** The words of a string literal as a union: `Words<'a b c'>` is `'a' | 'b' | 'c'`. */
export type Words<List extends string, Found extends string = never> = List extends `${infer Head} ${infer Tail}`
  ? Words<Tail, Found | Head>
  : Found | List
