/** Several at once, but not all. */

/** Runs `body` for each, `count` at a time. The first failure is thrown once all that had begun are through; none is begun after it. */
export async function limited<Thing>(
  count: number,
  things: readonly Thing[],
  body: (thing: Thing) => Promise<void>,
): Promise<void> {
  const waiting = [...things]
  const failures: unknown[] = []
  const worker = async (): Promise<void> => {
    for (let thing = waiting.shift(); thing !== undefined && failures.length === 0; thing = waiting.shift()) {
      try {
        await body(thing)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(count, things.length) }, worker))
  if (failures.length > 0) throw failures[0]
}
