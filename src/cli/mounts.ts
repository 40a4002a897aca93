/** `--volume`, `--mount`, `--tmpfs`, `--volumes-from`: what is mounted in a container. */

import { OperationError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import { findContainer } from '../engine/containers.ts'
import type { CopyOnWrite, Intent, IntentMount } from '../engine/intent.ts'
import { type Engine, volumePath } from '../engine/place.ts'
import { newId } from '../engine/random.ts'
import { isNamespaceWord } from './namespaces.ts'
import { type Asked, absolute, parseBytes, wrong } from './values.ts'

type BindMount = Extract<IntentMount, { readonly kind: 'bind' }>
type VolumeMount = Extract<IntentMount, { readonly kind: 'volume' }>

/** Of the flags, then of the image. Throws `invalid` for a place that flags name twice. `directory` is that of the container. */
export function mountsOf(asked: Asked, imageVolumes: readonly string[], directory: string): Intent['mounts'] {
  const { given, session } = asked
  const volumes = given.list('volume').map((word) => volumeOf(asked, word, directory))
  const mounts = given
    .list('mount')
    .filter((word) => !isNamespaceWord(word))
    .map((word) => mountOf(asked, word))
  const temporary = given.list('tmpfs').map((word) => tmpfsOf(asked, word))
  const temporaryPlaces = [...new Set(temporary.map(({ destination }) => destination))]
  refuseTwice(asked, [
    ...temporaryPlaces,
    ...[...volumes.filter((one) => !isWithoutName(one)), ...mounts].map(({ destination }) => destination),
  ])
  const wanted = [
    ...given.list('volumes-from').flatMap((word) => mountsFrom(asked, word, directory)),
    ...temporary,
    ...volumes.filter((one) => !isWithoutName(one)),
    ...mounts,
  ]
  const places = wanted.map(({ destination }) => destination)
  const rest = [
    ...imageVolumes.map((path) =>
      volume(session.engine, { name: '', destination: cleanDestination(path), options: [] }),
    ),
    ...volumes.filter(isWithoutName),
  ].filter(({ destination }) => !places.includes(destination))
  return [...new Map([...wanted, ...rest].map((one) => [one.destination, one])).values()]
}

/** `--volume DIR` gives way to whatever else is asked for there, as with docker. */
const isWithoutName = (one: IntentMount): boolean => one.kind === 'volume' && one.isAnonymous

function refuseTwice({ command }: Asked, places: readonly string[]): void {
  const twice = places.find((place, index) => places.indexOf(place) !== index)
  if (twice !== undefined)
    throw usage(
      command,
      `Duplicate mount point: ${twice}`,
      'mount one thing at a place; --volumes-from gives way to it',
    )
}

/** Where --mount mounts something. */
export const mountPlacesOf = (asked: Asked): readonly string[] =>
  asked.given
    .list('mount')
    .filter((word) => !isNamespaceWord(word))
    .map((word) => mountOf(asked, word).destination)

const cleanDestination = (path: string): string => path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1')

function destinationOf(asked: Asked, flag: string, word: string, path: string): string {
  const clean = cleanDestination(path)
  if (!clean.startsWith('/'))
    throw wrong(asked, flag, word, `invalid mount path: '${path}' mount path must be absolute`)
  if (clean === '/') throw wrong(asked, flag, word, "invalid specification: destination can't be '/'")
  return clean
}

const PROPAGATIONS = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave']
/** Labels of SELinux, and how careful a virtual machine of docker is with its caches: without effect on this machine, as with docker. */
const WITHOUT_EFFECT = ['z', 'Z', 'consistent', 'cached', 'delegated']

/** `[SOURCE:]DIR[:OPTIONS]`; a source with a slash is a path, one without is the name of a volume. */
function volumeOf(asked: Asked, word: string, directory: string): IntentMount {
  const { engine, cwd } = asked.session
  const parts = word.split(':')
  const [source, destination, mode = ''] = parts.length === 1 ? ['', parts[0]] : parts
  if (source === undefined || destination === undefined || parts.length > 3 || (parts.length > 1 && source === ''))
    throw wrong(asked, 'volume', word, 'write it like DIR, SOURCE:DIR or SOURCE:DIR:ro')
  const at = destinationOf(asked, 'volume', word, destination)
  const given = mode === '' ? [] : mode.split(',')
  const known = ['ro', 'rw', 'nocopy', 'idmap', 'cow', 'O', ...PROPAGATIONS, ...WITHOUT_EFFECT]
  const unknown = given.find((option) => !known.includes(option))
  if (unknown !== undefined)
    throw wrong(
      asked,
      'volume',
      word,
      `invalid mode: ${unknown}; give ro, rw, nocopy, idmap, cow, or one of ${PROPAGATIONS.join(' ')}`,
    )
  if (given.includes('ro') && given.includes('rw')) throw wrong(asked, 'volume', word, `invalid mode: ${mode}`)
  const options = given.filter((option) => ![...NOT_OF_THE_MOUNT, ...WITHOUT_EFFECT].includes(option))
  const view = COPY_ON_WRITE.some((option) => given.includes(option)) ? viewOf(directory, at) : undefined
  if (view !== undefined && options.some((option) => option === 'idmap' || PROPAGATIONS.includes(option)))
    throw wrong(
      asked,
      'volume',
      word,
      'what is copied on write is a file system of its own: leave the other options away',
    )
  if (/^[./~]/.test(source)) return { ...bindOf(absolute(source, cwd), at, options, view === undefined), view }
  if (source !== '' && !VOLUME_NAME.test(source)) throw wrong(asked, 'volume', word, NAME_HINT)
  return {
    ...volume(engine, {
      name: source,
      destination: at,
      options,
      copiesUp: !given.includes('nocopy') && view === undefined,
    }),
    view,
  }
}

/** As podman calls it, and as we do. */
const COPY_ON_WRITE = ['O', 'cow']
const NOT_OF_THE_MOUNT = ['nocopy', ...COPY_ON_WRITE]

/** One for each place in the container. */
const viewOf = (directory: string, destination: string): CopyOnWrite => {
  const name = destination.slice(1).replace(/[%/]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`)
  return { upper: `${directory}/views/${name}/upper`, work: `${directory}/views/${name}/work` }
}

const VOLUME_NAME = /^[a-zA-Z0-9][\w.-]+$/
const NAME_HINT =
  'includes invalid characters for a local volume name: a volume name begins with a letter or digit, has one more at least, and letters, digits, "_", "." and "-"; write a path with a slash'

function bindOf(source: string, destination: string, options: readonly string[], makesSource: boolean): BindMount {
  const propagation = options.some((option) => PROPAGATIONS.includes(option)) ? [] : ['rprivate']
  const recursion = options.includes('bind') ? [] : ['rbind']
  return { kind: 'bind', source, destination, options: [...recursion, ...propagation, ...options], makesSource }
}

interface WantedVolume {
  /** Empty for one without a name. */
  readonly name: string
  readonly destination: string
  readonly options: readonly string[]
  readonly copiesUp?: boolean
}

function volume(engine: Engine, { name, destination, options, copiesUp = true }: WantedVolume): VolumeMount {
  const known = name === '' ? newId(engine.machine.native) : name
  return {
    kind: 'volume',
    name: known,
    source: `${volumePath(engine, known)}/_data`,
    destination,
    options: ['rbind', 'rprivate', ...options],
    isAnonymous: name === '',
    copiesUp,
  }
}

/** `DIR[:OPTIONS]` */
function tmpfsOf(asked: Asked, word: string): IntentMount {
  const colon = word.indexOf(':')
  const destination = destinationOf(asked, 'tmpfs', word, colon < 0 ? word : word.slice(0, colon))
  return {
    kind: 'tmpfs',
    destination,
    options:
      colon < 0
        ? []
        : word
            .slice(colon + 1)
            .split(',')
            .filter((one) => one !== ''),
  }
}

/** `NAME[:ro|rw]` */
function mountsFrom(asked: Asked, word: string, directory: string): readonly IntentMount[] {
  const [name = '', mode = '', ...rest] = word.split(':')
  if (rest.length > 0 || (mode !== '' && mode !== 'ro' && mode !== 'rw' && mode !== 'z' && mode !== 'Z'))
    throw wrong(
      asked,
      'volumes-from',
      word,
      `invalid mode: ${[mode, ...rest].join(':')}; write it like CONTAINER or CONTAINER:ro`,
    )
  const { record } = findContainer(asked.session.engine, name)
  return record.intent.mounts.flatMap((one): readonly IntentMount[] => {
    if (one.kind === 'tmpfs') return []
    const options = mode === 'ro' ? [...one.options.filter((option) => option !== 'rw'), 'ro'] : one.options
    const view = one.view === undefined ? undefined : viewOf(directory, one.destination)
    return [one.kind === 'volume' ? { ...one, options, view, copiesUp: false } : { ...one, options, view }]
  })
}

/** `type=bind,source=…,target=…`: comma-separated, with quotes around what has a comma in it. */
function mountOf(asked: Asked, word: string): IntentMount {
  const fields = new Fields(asked, word)
  const type = fields.take('type') ?? 'volume'
  const target = fields.take('target', 'destination', 'dst')
  if (target === undefined) throw wrong(asked, 'mount', word, 'target is required')
  const destination = destinationOf(asked, 'mount', word, target)
  const source = fields.take('source', 'src')
  const common = { destination, source, access: fields.flag('readonly', 'ro') ? ['ro'] : [] }
  fields.take('consistency')
  const made = madeOf(fields, type, common)
  fields.end()
  return made
}

interface Common {
  readonly destination: string
  readonly source: string | undefined
  readonly access: readonly string[]
}

function madeOf(fields: Fields, type: string, common: Common): IntentMount {
  switch (type) {
    case 'bind':
      return bindMountOf(fields, common)
    case 'volume':
      return volumeMountOf(fields, common)
    case 'tmpfs':
      return tmpfsMountOf(fields, common)
    default:
      throw fields.wrong(`type is ${type}; there are bind, volume and tmpfs`)
  }
}

function bindMountOf(fields: Fields, { destination, source, access }: Common): IntentMount {
  if (source === undefined) throw fields.wrong('source is required for a bind mount')
  const propagation = fields.take('bind-propagation')
  if (propagation !== undefined && !PROPAGATIONS.includes(propagation))
    throw fields.wrong(`bind-propagation is one of ${PROPAGATIONS.join(' ')}`)
  const recursion = recursionOf(fields, access.length > 0)
  const options = [...recursion, ...(propagation === undefined ? [] : [propagation]), ...access]
  return bindOf(absolute(source, fields.asked.session.cwd), destination, options, fields.flag('bind-create-src'))
}

function volumeMountOf(fields: Fields, { destination, source, access }: Common): IntentMount {
  if (source !== undefined && !VOLUME_NAME.test(source)) throw fields.wrong(NAME_HINT)
  const driver = fields.take('volume-driver') ?? 'local'
  if (driver !== 'local') throw fields.wrong(`there is no volume driver ${driver}; there is local`)
  const [labels, options] = [pairsOf(fields, 'volume-label'), pairsOf(fields, 'volume-opt')]
  const subpath = fields.take('volume-subpath')
  const copiesUp = !fields.flag('volume-nocopy') && subpath === undefined
  if (subpath !== undefined && (subpath.startsWith('/') || subpath.split('/').includes('..') || subpath.includes(',')))
    throw fields.wrong('volume-subpath is a path below the volume, without ".." and ","')
  return {
    ...volume(fields.asked.session.engine, { name: source ?? '', destination, options: access, copiesUp }),
    subpath,
    ...(labels.length === 0 ? {} : { labels: Object.fromEntries(labels) }),
    ...(options.length === 0 ? {} : { volumeOptions: Object.fromEntries(options) }),
  }
}

/** `volume-label=NAME=VALUE`, as often as one likes. */
function pairsOf(fields: Fields, field: string): readonly (readonly [string, string])[] {
  return fields.all(field).map((label = '') => {
    const [, name = label, value = ''] = /^([^=]*)=([\s\S]*)$/.exec(label) ?? []
    if (name === '') throw fields.wrong(`${field} needs a name: ${field}=NAME=VALUE`)
    return [name, value]
  })
}

function tmpfsMountOf(fields: Fields, { destination, source, access }: Common): IntentMount {
  const [size, mode] = [fields.take('tmpfs-size'), fields.take('tmpfs-mode')]
  const bytes = size === undefined ? undefined : parseBytes(size)
  if (source !== undefined) throw fields.wrong('a tmpfs has no source')
  if (size !== undefined && bytes === undefined) throw fields.wrong(`tmpfs-size is ${size}`)
  if (mode !== undefined && !/^[0-7]{1,5}$/.test(mode)) throw fields.wrong(`tmpfs-mode is ${mode}, which is not octal`)
  const given = [bytes === undefined ? '' : `size=${bytes}`, mode === undefined ? '' : `mode=${mode}`]
  return { kind: 'tmpfs', destination, options: [...given.filter((option) => option !== ''), ...access] }
}

/** docker makes what is mounted below read-only as well where it can; `readonly` insists on it, `writable` and `disabled` do without. */
function recursionOf(fields: Fields, isReadonly: boolean): readonly string[] {
  const isFlat = fields.flag('bind-nonrecursive')
  const word = fields.take('bind-recursive') ?? (isFlat ? 'disabled' : 'enabled')
  switch (word) {
    case 'enabled':
    case 'true':
    case '1':
      return isReadonly ? ['rro'] : []
    case 'disabled':
    case 'false':
    case '0':
      return ['bind']
    case 'writable':
      return []
    case 'readonly':
      if (!isReadonly) throw fields.wrong('bind-recursive=readonly needs readonly')
      return ['rro']
    default:
      throw fields.wrong(`bind-recursive is ${word}; it is enabled, disabled, writable or readonly`)
  }
}

/** What stands in one `--mount`; each field is taken once, and what nobody took is an error. */
class Fields {
  readonly asked: Asked
  readonly #word: string
  readonly #left: Map<string, (string | undefined)[]>

  constructor(asked: Asked, word: string) {
    this.asked = asked
    this.#word = word
    const fields = word.match(/(?:"(?:[^"]|"")*"|[^,"])+/g) ?? []
    this.#left = new Map()
    for (const field of fields) {
      const plain = field.startsWith('"') ? field.slice(1, -1).replace(/""/g, '"') : field
      const [, name = plain, value] = /^([^=]*)=([\s\S]*)$/.exec(plain) ?? []
      const key = name.toLowerCase()
      this.#left.set(key, [...(this.#left.get(key) ?? []), value])
    }
  }

  /** What is given under a name; of most the last counts. */
  all(name: string): readonly (string | undefined)[] {
    const values = this.#left.get(name) ?? []
    this.#left.delete(name)
    return values
  }

  #last(name: string): string | undefined {
    return this.all(name).slice(-1)[0]
  }

  take(...names: readonly string[]): string | undefined {
    for (const name of names) {
      if (!this.#left.has(name)) continue
      const value = this.#last(name)
      if (value === undefined || value === '') throw this.wrong(`${name} needs a value: ${name}=…`)
      return value
    }
    return undefined
  }

  flag(...names: readonly string[]): boolean {
    for (const name of names) {
      if (!this.#left.has(name)) continue
      const value = this.#last(name) ?? 'true'
      if (!/^(true|1|false|0)$/.test(value)) throw this.wrong(`${name} is ${value}, neither true nor false`)
      return value === 'true' || value === '1'
    }
    return false
  }

  end(): void {
    const [name] = this.#left.keys()
    if (name === undefined) return
    throw new OperationError({
      kind: 'invalid',
      operation: `understand the command line of ${this.asked.command}`,
      reason: `--mount has the field ${name}, which this type does not know`,
      hint: 'bind: bind-propagation bind-recursive; volume: volume-nocopy volume-subpath volume-label volume-opt; tmpfs: tmpfs-size tmpfs-mode',
    })
  }

  wrong(hint: string): Error {
    return wrong(this.asked, 'mount', this.#word, hint)
  }
}
