/**
 * Users and groups by name, from the text of a passwd(5) and a group(5) file: the host's, or those in a container.
 *
 * A container's files are written by strangers. They are bounded, and a text that looks like a number is never looked up as a name, so that
 * no line of theirs can say what `1000` means.
 */

import { OperationError } from '../base/errors.ts'

export interface UserDatabase {
  /** The text of /etc/passwd; absent where there is no such file. */
  readonly passwd?: string
  readonly group?: string
}

export interface PasswdEntry {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  readonly shell: string
}

export interface GroupEntry {
  readonly name: string
  readonly gid: number
  readonly members: readonly string[]
}

export interface ResolvedUser {
  readonly uid: number
  readonly gid: number
  /** Groups that list the user as a member; none if the request names its group. */
  readonly additionalGids: readonly number[]
  readonly home: string
  /** Absent where the uid has no line in the file. */
  readonly name?: string
}

/** The largest id that a request may name, as in Docker; the kernel itself stops at 2^32 - 2. */
const MAX_ID = 0x7fff_ffff
const MAX_FILE_CHARACTERS = 4 << 20
const MAX_LINE_CHARACTERS = 64 << 10

/**
 * The ids behind `user`, `uid`, `user:group`, `uid:gid` or a mix; an empty request means uid 0.
 *
 * A uid without a line in passwd gets gid 0 and the home `/`. Throws `invalid` for a number out of range or of odd spelling, `missing` for a
 * name that the files do not have.
 */
export function resolveUser(request: string, database: UserDatabase): ResolvedUser {
  const colon = request.indexOf(':')
  const userPart = colon < 0 ? request : request.slice(0, colon)
  const groupPart = colon < 0 ? '' : request.slice(colon + 1)
  const user = findUser(userPart === '' ? '0' : userPart, database, request)
  if (groupPart !== '') return { ...user, gid: findGid(groupPart, database, request), additionalGids: [] }
  return { ...user, additionalGids: user.name === undefined ? [] : groupsOf(user.name, database) }
}

type FoundUser = Omit<ResolvedUser, 'additionalGids'>

function findUser(word: string, { passwd = '' }: UserDatabase, request: string): FoundUser {
  const uid = parseId(word, request)
  const matches = ({ name, uid: own }: PasswdEntry): boolean => (uid === undefined ? name === word : own === uid)
  const entry = parsePasswd(passwd).find(matches)
  if (entry !== undefined) return { uid: entry.uid, gid: entry.gid, home: entry.home || '/', name: entry.name }
  if (uid !== undefined) return { uid, gid: 0, home: '/' }
  throw unknown(request, `unable to find user ${word}: no matching entries in passwd file of the container`)
}

function findGid(word: string, { group = '' }: UserDatabase, request: string): number {
  const gid = parseId(word, request) ?? parseGroup(group).find(({ name }) => name === word)?.gid
  if (gid !== undefined) return gid
  throw unknown(request, `unable to find group ${word}: no matching entries in group file of the container`)
}

/** Additional groups by name or number, as `--group-add` takes them. Throws as resolveUser does. */
export const resolveGroups = (words: readonly string[], database: UserDatabase): readonly number[] =>
  words.map((word) => findGid(word, database, word))

/** The gids of the groups that list `user` as a member. */
export const groupsOf = (user: string, { group = '' }: UserDatabase): readonly number[] =>
  parseGroup(group)
    .filter(({ members }) => members.includes(user))
    .map(({ gid }) => gid)

/** A number as it is; undefined for a name. */
function parseId(word: string, request: string): number | undefined {
  if (/^(0|[1-9]\d*)$/.test(word)) {
    const id = Number(word)
    if (id <= MAX_ID) return id
    throw invalid(request, `the id ${word} is larger than ${MAX_ID}`)
  }
  // -1, 00, 1e3, 0x0, " 0": other programs read these as numbers, each as its own.
  if (/\d/.test(word) && !Number.isNaN(Number(word))) {
    throw invalid(request, `${JSON.stringify(word)} is neither a name nor a decimal number`)
  }
  return undefined
}

/** Lines that are not of passwd's seven fields, or whose ids are no numbers, are passed over, as in the C library. */
export function parsePasswd(text: string): readonly PasswdEntry[] {
  const entries: PasswdEntry[] = []
  for (const [name = '', , uid, gid, , home = '', shell = ''] of rows(text, 'passwd')) {
    if (isId(uid) && isId(gid)) entries.push({ name, uid: Number(uid), gid: Number(gid), home, shell })
  }
  return entries
}

export function parseGroup(text: string): readonly GroupEntry[] {
  const entries: GroupEntry[] = []
  for (const [name = '', , gid, members = ''] of rows(text, 'group')) {
    if (isId(gid)) entries.push({ name, gid: Number(gid), members: members.split(',').filter((word) => word !== '') })
  }
  return entries
}

const isId = (word: string | undefined): boolean =>
  word !== undefined && /^\d{1,10}$/.test(word) && Number(word) <= 0xffff_fffe

function* rows(text: string, file: string): Generator<readonly string[]> {
  if (text.length > MAX_FILE_CHARACTERS) throw tooLarge(file, '4 MiB')
  for (const line of text.split('\n')) {
    if (line.length > MAX_LINE_CHARACTERS) throw tooLarge(file, '64 KiB in one line')
    const trimmed = line.trim()
    // A leading + or - includes other sources: nsswitch.conf(5), compat.
    if (trimmed !== '' && !/^[#+-]/.test(trimmed)) yield trimmed.split(':')
  }
}

const invalid = (request: string, reason: string): OperationError =>
  new OperationError({ kind: 'invalid', operation: `run as user ${JSON.stringify(request)}`, reason })

const unknown = (request: string, reason: string): OperationError =>
  new OperationError({ kind: 'missing', operation: `run as user ${JSON.stringify(request)}`, reason })

const tooLarge = (file: string, limit: string): OperationError =>
  new OperationError({ kind: 'invalid', operation: `read /etc/${file}`, reason: `it has more than ${limit}` })
