/** What a plan did when it ran, as a picture: a lane for each process, a bar for each call. SVG 1.1, without scripts. */

import type { Plan, Step } from '../plan/plan.ts'
import { outline } from './outline.ts'
import { micros, type RanEntry, type RanPlan, type RunOptions, ran, resultText, type TraceEntry } from './run.ts'
import { stepText } from './step-text.ts'

export interface TimelineOptions extends RunOptions {
  /** In pixels; default 1000. */
  readonly width?: number
}

const MARGIN = 16
const LANE = 56
const BAR = 22
const HEAD = 40
/** The width of a letter of the bars' text; a bar too narrow for the name of its call has none. */
const LETTER = 6.2

/**
 * The text of an SVG picture of plans that ran one after another. Each bar tells its step, call, result and time when it is pointed at; failures that the plan does not
 * tolerate are red, tolerated ones yellow.
 */
export function explainTimeline(plans: readonly RanPlan[], options: TimelineOptions = {}): string {
  const width = options.width ?? 1000
  const trace = plans.flatMap((one) => one.trace)
  const beginNs = Math.min(...trace.map((call) => call.beginNs))
  const spanNs = trace.length === 0 ? 1 : Math.max(1, Math.max(...trace.map(({ endNs }) => endNs)) - beginNs)
  const picture: Picture = { options, beginNs, pixelsPerNs: (width - 2 * MARGIN) / spanNs }
  const lanes = plans.flatMap(lanesOf)
  const height = HEAD + lanes.length * LANE + MARGIN
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${xmlText(`${plans.map(({ plan }) => plan.operation).join(', ')}: ${trace.length === 0 ? 'did not run' : `${micros(spanNs)} µs`}`)}</title>`,
    STYLE,
    ...(trace.length === 0 ? [] : axis(spanNs, picture, height)),
    ...lanes.flatMap((lane, index) => laneMarks(lane, HEAD + index * LANE, picture)),
    '</svg>',
    '',
  ].join('\n')
}

interface Picture {
  readonly options: RunOptions
  readonly beginNs: number
  readonly pixelsPerNs: number
}

interface Lane {
  readonly name: string
  readonly entries: readonly RanEntry[]
}

const STYLE = `<style>
  svg { background: #fff; font: 11px sans-serif; fill: #222 }
  .grid { stroke: #ddd } .tick { fill: #777; text-anchor: middle }
  .ok { fill: #8fb8de } .tolerated { fill: #e8cf7a } .failed { fill: #d9776c }
  .call { font: 10px monospace; pointer-events: none }
  @media (prefers-color-scheme: dark) {
    svg { background: #1b1b1b; fill: #ddd } .grid { stroke: #3a3a3a } .tick { fill: #999 } .call { fill: #111 }
  }
</style>`

function lanesOf({ plan, trace }: RanPlan): readonly Lane[] {
  const entries = ran(plan, trace).filter(({ calls }) => calls.length > 0)
  return processNames(plan)
    .map((name, process) => ({ name, entries: entries.filter((entry) => entry.process === process) }))
    .filter((lane) => lane.entries.length > 0)
}

/** The executor and each child, by the slot of its pid where it has one. */
function processNames(plan: Plan): readonly string[] {
  const children = outline(plan).filter(({ step }) => step.child !== undefined)
  return ['executor', ...children.map(({ step }) => `${step.into?.slot ?? 'child'}: ${step.why}`)]
}

function laneMarks({ name, entries }: Lane, top: number, picture: Picture): readonly string[] {
  const bars = entries.flatMap((entry) => entry.calls.map((call) => bar(entry, call, { top: top + 18, picture })))
  return [`<text x="${MARGIN}" y="${top + 11}">${xmlText(name)}</text>`, ...bars]
}

function bar(
  { step, number }: RanEntry,
  call: TraceEntry,
  { top, picture }: { readonly top: number; readonly picture: Picture },
): string {
  const x = MARGIN + (call.beginNs - picture.beginNs) * picture.pixelsPerNs
  const ns = call.endNs - call.beginNs
  // What is too short to be seen is still a pixel.
  const width = Math.max(1, ns * picture.pixelsPerNs)
  const line = `${number ?? 'undo'}  ${stepText(step, picture.options)} = ${resultText([call])}, ${micros(ns)} µs`
  const place = `x="${x.toFixed(1)}" y="${top}" width="${width.toFixed(1)}" height="${BAR}"`
  const rect = `<rect class="${outcome(step, call)}" ${place}><title>${xmlText(`${line}\n${step.why}`)}</title></rect>`
  const { name } = step.call
  if (name.length * LETTER > width) return rect
  return `${rect}<text class="call" x="${(x + 3).toFixed(1)}" y="${top + 15}">${xmlText(name)}</text>`
}

function outcome(step: Step, call: TraceEntry): 'ok' | 'tolerated' | 'failed' {
  if (call.result >= 0) return 'ok'
  const errno = resultText([call]).slice(1)
  return (step.tolerate ?? []).some((tolerated) => tolerated === errno) ? 'tolerated' : 'failed'
}

/** Lines at round times, about ten of them. */
function axis(spanNs: number, { pixelsPerNs }: Picture, height: number): readonly string[] {
  const rough = spanNs / 10
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough
  const lines: string[] = []
  for (let ns = 0; ns <= spanNs; ns += step) {
    const x = (MARGIN + ns * pixelsPerNs).toFixed(1)
    lines.push(`<line class="grid" x1="${x}" y1="${HEAD - 12}" x2="${x}" y2="${height - MARGIN}"/>`)
    lines.push(`<text class="tick" x="${x}" y="${HEAD - 18}">${Math.round(ns / 100) / 10} µs</text>`)
  }
  return lines
}

const xmlText = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? sign)
