// The layer rule, as dependency-cruiser wants it. The table is in layers.mjs.
import { layers, pure } from './layers.mjs'

const any = (names) => names.join('|')
const tests = '\\.test\\.ts$'

export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      comment: 'a file that nothing imports is dead, or its importer is missing',
      from: { orphan: true, pathNot: `^src/(main|index)\\.ts$|${tests}` },
      to: {},
    },
    {
      name: 'known-folder',
      severity: 'error',
      comment: 'every folder of src has a line in layers.mjs; only main.ts and index.ts stand beside them',
      from: { path: '^src/', pathNot: `^src/((${any(Object.keys(layers))})/|(main|index)\\.ts$)` },
      to: {},
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^bun:' },
    },
    {
      name: 'pure-is-pure',
      severity: 'error',
      comment: 'pure folders run in a browser: no node:, no bun:, no packages',
      from: { path: `^src/(${any(pure)})/`, pathNot: tests },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-optional', 'npm-peer', 'unknown'] },
    },
    {
      name: 'tests-are-leaves',
      severity: 'error',
      from: { pathNot: tests },
      to: { path: tests },
    },
    ...Object.entries(layers).map(([layer, allowed]) => ({
      name: `layer-${layer}`,
      severity: 'error',
      comment: `${layer} may import: ${allowed.join(', ') || 'nothing'}`,
      from: { path: `^src/${layer}/`, pathNot: tests },
      to: { path: '^src/', pathNot: `^src/(${any([layer, ...allowed])})/` },
    })),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
  },
}
