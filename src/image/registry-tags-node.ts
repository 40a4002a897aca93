/** The tags of a repository in a registry, page by page. Source: oci:distribution-spec#listing-tags, RFC 8288 */

import type { IncomingMessage } from 'node:http'
import { OperationError } from '../base/errors.ts'
import { sectionOf, stringsOf } from '../base/field.ts'
import { parseJson } from '../base/json.ts'
import { MAX_DOCUMENT_BYTES } from '../oci/image.ts'
import { isTag } from './reference.ts'
import { readBounded, refusal } from './registry-answer-node.ts'
import { header, type Repository } from './registry-node.ts'

const MAX_PAGES = 1000
const MAX_TAGS = 100_000

/**
 * Each once, in the order of the registry; none of a repository without tags. All of them are tags by the grammar, before the first is shown or
 * part of a name. Throws `missing`, `denied`; `invalid` for a list that is none, has no end, or leads to another server.
 */
export async function listTags(repository: Repository): Promise<readonly string[]> {
  const { connection, name, registry } = repository
  const operation = `list the tags of ${registry}/${name}`
  const tags = new Set<string>()
  let url: string | undefined = `/v2/${name}/tags/list`
  for (let pages = 0; url !== undefined; pages++) {
    if (pages === MAX_PAGES) throw invalid(operation, `the list has more than ${MAX_PAGES} pages`)
    const response: IncomingMessage = await connection.send({ method: 'GET', url })
    if (response.statusCode !== 200) throw await refusal(response, operation, 'does it exist, and may you read it?')
    for (const tag of await tagsOf(response, operation)) tags.add(tag)
    if (tags.size > MAX_TAGS) throw invalid(operation, `there are more than ${MAX_TAGS}`)
    url = nextPage(header(response, 'link'), new URL(url, connection.origin), operation)
  }
  return [...tags]
}

/** `{"name": "library/busybox", "tags": ["1.36", "latest"]}`; `null` for no tags. */
async function tagsOf(response: IncomingMessage, operation: string): Promise<readonly string[]> {
  const text = (await readBounded(response, MAX_DOCUMENT_BYTES, 'the list of tags')).toString('utf8')
  const tags = stringsOf(sectionOf(parseJson(text, 'the list of tags'), 'the list of tags: '), 'tags')
  const wrong = tags.find((tag) => !isTag(tag))
  if (wrong === undefined) return tags
  throw invalid(operation, `it has ${JSON.stringify(wrong.slice(0, 80))}, which is no tag`)
}

/** `</v2/NAME/tags/list?n=100&last=TAG>; rel="next"`: an address of the same server, or none. */
function nextPage(link: string | undefined, page: URL, operation: string): string | undefined {
  const links = [...(link ?? '').matchAll(/<([^<>]*)>([^<]*)/g)]
  const target = links.find(([, , parameters = '']) => /;\s*rel="?next"?\s*(?:[;,]|$)/i.test(parameters))?.[1]
  if (target === undefined) return undefined
  const next = URL.parse(target, page.href)
  if (next?.origin !== page.origin) throw invalid(operation, `the list goes on at another server than ${page.origin}`)
  return next.pathname + next.search
}

const invalid = (operation: string, reason: string): OperationError =>
  new OperationError({ kind: 'invalid', operation, reason, hint: 'pull a tag by its name' })
