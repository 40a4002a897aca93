/** The entries of index.json: which image has which name. A name leads to one image; an image has any number of names, or none. */

import type { Descriptor } from '../oci/image.ts'
import { NAME_ANNOTATION } from './layout.ts'

type Entries = readonly Descriptor[]

export const nameOf = ({ annotations }: Descriptor): string | undefined => annotations[NAME_ANNOTATION]

/** Whoever had the name until now stays, without it. Without a name the image is kept under its digest alone. */
export function addName(entries: Entries, image: Descriptor, name: string | undefined): Entries {
  const others = name === undefined ? entries : removeName(entries, name)
  const { [NAME_ANNOTATION]: _, ...annotations } = image.annotations
  const entry = {
    ...image,
    annotations: name === undefined ? annotations : { ...annotations, [NAME_ANNOTATION]: name },
  }
  if (name === undefined && others.some(({ digest }) => digest === image.digest)) return others
  return [...others.filter((other) => other.digest !== image.digest || nameOf(other) !== undefined), entry]
}

export function removeName(entries: Entries, name: string): Entries {
  return entries.flatMap((entry) => {
    if (nameOf(entry) !== name) return [entry]
    const hasOther = entries.some((other) => other !== entry && other.digest === entry.digest)
    const { [NAME_ANNOTATION]: _, ...annotations } = entry.annotations
    return hasOther ? [] : [{ ...entry, annotations }]
  })
}

/** The image with all its names. */
export const removeImage = (entries: Entries, digest: string): Entries =>
  entries.filter((entry) => entry.digest !== digest)
