/** Pages of labs are text in the bundle. */
declare module '*.md' {
  const text: string
  export = text
}
