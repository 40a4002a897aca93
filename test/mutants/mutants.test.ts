/**
 * Every protection of a plan is worth a check that notices its absence: each mutant is run, and the checks that fail are printed.
 *
 * A mutant that is said to be equivalent has to survive: otherwise a check has been found, and the reason is wrong.
 */

import { afterAll, expect, test } from 'bun:test'
import { readCgroupLayout } from '../../src/observe/cgroup.ts'
import { nodeFiles } from '../../src/observe/files-node.ts'
import { expectNothingLeft } from '../kernel/site.ts'
import { failed } from './facts.ts'
import { MUTANTS } from './mutants.ts'
import type { Scenario } from './scenario.ts'

const killers: string[] = []
afterAll(() => {
  expectKilledLeftovers()
  console.log(killers.join('\n'))
})

/** A mutant may leave something behind: that is what some of them are for, and what the site has reported as a fact. */
function expectKilledLeftovers(): void {
  try {
    expectNothingLeft()
  } catch (error) {
    console.log('left behind by mutants, and removed:', error instanceof Error ? error.message : error)
  }
}

const scenarios: readonly Scenario[] = [...new Set(MUTANTS.map(({ scenario }) => scenario))]

if (readCgroupLayout(nodeFiles()).mode === 'v2') test.skip('mutants of plans for cgroup v1', () => undefined)
else {
  for (const { name, facts, checks } of scenarios)
    test(`every check holds for ${name}`, async () => {
      expect(failed(await facts((plan) => plan), checks)).toEqual([])
    })

  for (const { name, scenario, edit, equivalent } of MUTANTS)
    test(`${scenario.name}: ${name}`, async () => {
      const noticed = failed(await scenario.facts(edit), scenario.checks)
      if (equivalent === undefined) {
        expect(noticed).not.toEqual([])
        const more = noticed.length > 3 ? ` and ${noticed.length - 3} more` : ''
        killers.push(`killed: ${scenario.name}: ${name}: by ${noticed.slice(0, 3).join('; ')}${more}`)
      } else {
        expect(noticed).toEqual([])
        killers.push(`equivalent: ${scenario.name}: ${name}: ${equivalent}`)
      }
    })

  test('there are sixty mutants and more (S318)', () => {
    expect(MUTANTS.filter(({ equivalent }) => equivalent === undefined).length).toBeGreaterThanOrEqual(60)
  })
}
