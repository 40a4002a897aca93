/** Containers that are made for one question each: a site, its files, a plan with one change, and what was seen. */

import { existsSync, readdirSync } from 'node:fs'
import type { Changes } from '../kernel/bundle.ts'
import { makeSite, type Site } from '../kernel/site.ts'
import type { Edit } from '../plan-edits.ts'
import { planOf, type RunTwinOptions, runTwin, type TwinOptions, type TwinRun } from '../twin.ts'
import { type Check, type Facts, factsIn } from './facts.ts'

export interface Scenario {
  readonly name: string
  readonly facts: (edit: Edit) => Facts | Promise<Facts>
  readonly checks: readonly Check[]
}

export interface Play {
  readonly name: string
  /** Makes what the container meets; answers the changes of its document. */
  readonly prepare: (site: Site) => Changes
  readonly script?: string
  readonly twin?: TwinOptions
  readonly run?: (site: Site) => RunTwinOptions
  /** What the host sees behind the run, while the container is there. */
  readonly look?: (site: Site, run: TwinRun) => Readonly<Record<string, string>>
  readonly checks: readonly Check[]
}

/** A mount namespace of its own keeps the machine from mutants whose mounts get out. */
export const ALONE: readonly string[] = ['unshare', '-m', '-u', '-i', '--propagation', 'private']

export const play = ({ name, prepare, script, twin, run, look, checks }: Play): Scenario => ({
  name,
  checks,
  facts: (edit) => {
    const site = makeSite()
    try {
      const changes = prepare(site)
      const args = script === undefined ? {} : { 'process.args': ['sh', '-c', script] }
      const planned = planOf(site, { ...args, ...changes }, twin)
      const options = { through: ALONE, ...run?.(site) }
      return factsOf(site, runTwin(site, { ...planned, plan: edit(planned.plan) }, options), look)
    } finally {
      site[Symbol.dispose]()
    }
  },
})

export function factsOf(site: Site, run: TwinRun, look?: Play['look']): Facts {
  const facts = factsIn(run.stdout)
  facts.set('exit', `${run.exitCode}`)
  facts.set('failures', run.failures.join('; '))
  for (const [name, value] of Object.entries(look?.(site, run) ?? {})) facts.set(name, value)
  facts.set('leaks', site.leaks().join(' '))
  facts.set('records', existsSync(site.root()) ? readdirSync(site.root()).join(' ') : '')
  return facts
}
