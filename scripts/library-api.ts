/**
 * What the library offers, as one text: `types` for dist/index.d.ts, `docs` for docs/api.md.
 *
 * Both are made from the declarations that TypeScript makes of src/index.ts, and of every file that an exported declaration names. Files as
 * such are not shipped, so nothing in either text refers to one.
 */

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'

interface Declaration {
  readonly name: string
  /** Without comment, `export` and `declare`. */
  readonly text: string
  /** The text of its comment; empty if there is none. */
  readonly doc: string
  readonly kind: 'function' | 'class' | 'type'
  readonly isPublic: boolean
}

interface Found {
  readonly statement: ts.Statement
  readonly source: ts.SourceFile
  /** Absolute. */
  readonly path: string
}

interface Rolled {
  readonly declarations: readonly Declaration[]
  /** `import type` lines for what comes from Node. */
  readonly imports: readonly string[]
}

const ROOT = join(import.meta.dirname, '..')

/** The declarations of one file, as tsc would write them; comments are kept. */
function declarationsOf(path: string): ts.SourceFile {
  const { outputText } = ts.transpileDeclaration(readFileSync(path, 'utf8'), {
    fileName: path,
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, isolatedDeclarations: true },
  })
  return ts.createSourceFile(path, outputText, ts.ScriptTarget.ES2022, true)
}

/** Walks from the exports of src/index.ts to everything that they name. */
function rollUp(): Rolled {
  const entry = join(ROOT, 'src', 'index.ts')
  const exported = exportsOf(declarationsOf(entry)).map(([name, from]) => ({ name, path: join(dirname(entry), from) }))
  const { found, fromNode } = reach(exported)
  const names = new Set(exported.map(({ name }) => name))
  return {
    declarations: [...found].map(([name, one]) => describe(name, one, names.has(name))),
    imports: [...fromNode].map(
      ([module, used]) => `import type { ${[...used].toSorted().join(', ')} } from '${module}'`,
    ),
  }
}

/** Names, and the files that they come from. */
const exportsOf = (source: ts.SourceFile): readonly (readonly [string, string])[] =>
  source.statements.filter(ts.isExportDeclaration).flatMap(({ exportClause, moduleSpecifier }) => {
    if (moduleSpecifier === undefined || exportClause === undefined || !ts.isNamedExports(exportClause)) return []
    return exportClause.elements.map(({ name }) => [name.text, textOf(moduleSpecifier)] as const)
  })

interface Place {
  readonly name: string
  /** Absolute. */
  readonly path: string
}

function reach(start: readonly Place[]) {
  const files = new Map<string, ts.SourceFile>()
  const found = new Map<string, Found>()
  const fromNode = new Map<string, Set<string>>()

  const visit = ({ name, path }: Place): void => {
    const source = files.get(path) ?? declarationsOf(path)
    files.set(path, source)
    const statement = source.statements.find((one) => nameOf(one) === name)
    // It is a type parameter, or a name of the language.
    if (statement === undefined) return
    const before = found.get(name)
    if (before !== undefined && before.path !== path)
      throw new Error(`${name} is in ${before.path} and in ${path}: rename one of them`)
    if (before !== undefined) return
    found.set(name, { statement, source, path })
    for (const used of namesIn(statement)) follow({ name: used, path }, importOf(source, used))
  }

  const follow = ({ name, path }: Place, specifier: string | undefined): void => {
    if (specifier === undefined) visit({ name, path })
    else if (specifier.startsWith('.')) visit({ name, path: join(dirname(path), specifier) })
    else fromNode.set(specifier, (fromNode.get(specifier) ?? new Set()).add(name))
  }

  for (const place of start) visit(place)
  return { found, fromNode }
}

const textOf = (node: ts.Expression): string => (ts.isStringLiteral(node) ? node.text : '')

function nameOf(statement: ts.Statement): string | undefined {
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations[0]?.name.getText()
  if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) return statement.name.text
  if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) return statement.name?.text
  return undefined
}

/** Identifiers that are no names of members or parameters. */
function namesIn(statement: ts.Statement): ReadonlySet<string> {
  const names = new Set<string>()
  const walk = (node: ts.Node): void => {
    const declares = (node.parent as { readonly name?: ts.Node } | undefined)?.name === node
    if (ts.isIdentifier(node) && !declares) names.add(node.text)
    ts.forEachChild(node, walk)
  }
  walk(statement)
  return names
}

/** The module that a name is imported from; undefined for a name of the file itself, or of the language. */
function importOf(source: ts.SourceFile, name: string): string | undefined {
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement)) continue
    const bindings = statement.importClause?.namedBindings
    if (bindings === undefined || !ts.isNamedImports(bindings)) continue
    for (const element of bindings.elements) {
      if (element.name.text !== name) continue
      if (element.propertyName !== undefined)
        throw new Error(`${source.fileName} imports ${name} under another name: use its own`)
      return textOf(statement.moduleSpecifier)
    }
  }
  return undefined
}

function describe(name: string, { statement, source }: Found, isPublic: boolean): Declaration {
  const comment = ts.getLeadingCommentRanges(source.text, statement.getFullStart())?.at(-1)
  const text = source.text.slice(statement.getStart(), statement.end)
  return {
    name,
    text: text.replace(/^export /, '').replace(/^declare /, ''),
    doc: comment === undefined ? '' : wordsOf(source.text.slice(comment.pos, comment.end)),
    kind: ts.isFunctionDeclaration(statement) ? 'function' : ts.isClassDeclaration(statement) ? 'class' : 'type',
    isPublic,
  }
}

const wordsOf = (comment: string): string =>
  comment
    .replace(/^\/\*\*?|\*\/$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .trim()

function types({ declarations, imports }: Rolled): string {
  const blocks = declarations.map(({ text, doc, kind, isPublic }) => {
    const comment = doc === '' ? '' : `/**\n${doc.replace(/^/gm, ' * ').replace(/ +$/gm, '')}\n */\n`
    const isValue = kind !== 'type' || /^(const|let) /.test(text)
    return `${comment}${isPublic ? 'export ' : ''}${isValue ? 'declare ' : ''}${text}`
  })
  // Without `export {}` every declaration of such a file counts as exported.
  return `${[...imports, ...blocks, 'export {}'].join('\n\n')}\n`
}

function docs({ declarations }: Rolled): string {
  const section = (title: string, chosen: readonly Declaration[]): readonly string[] => [
    `## ${title}`,
    ...chosen
      .toSorted((one, other) => (one.name < other.name ? -1 : 1))
      .flatMap(({ name, doc, text }) => [
        `### ${name}`,
        ...(doc === '' ? [] : [doc]),
        `\`\`\`ts\n${text.replace(/^( {4})+/gm, (blanks) => ' '.repeat(blanks.length / 2))}\n\`\`\``,
      ]),
  ]
  const open = declarations.filter(({ isPublic }) => isPublic)
  return `${[
    '# The library, name by name',
    'Made from the docstrings by `make api`. [library.md](library.md) is the tour.',
    ...section(
      'Functions',
      open.filter(({ kind }) => kind === 'function'),
    ),
    ...section(
      'Classes',
      open.filter(({ kind }) => kind === 'class'),
    ),
    ...section(
      'Types',
      open.filter(({ kind }) => kind === 'type'),
    ),
    ...section(
      'Types that these name, and that are not exported',
      declarations.filter(({ isPublic }) => !isPublic),
    ),
  ].join('\n\n')}\n`
}

const forms: Readonly<Record<string, (rolled: Rolled) => string>> = { types, docs }
const form = forms[process.argv[2] ?? '']
if (form === undefined) throw new Error(`use one of: ${Object.keys(forms).join(', ')}`)
process.stdout.write(form(rollUp()))
