/**
 * What goes over the socket of a monitor. Both ways each piece has a head of 8 bytes: its kind, three of nothing, and how many bytes follow,
 * big-endian, as docker has it.
 *
 * | kind | from the monitor            | from a client                                        |
 * |------|-----------------------------|------------------------------------------------------|
 * | 0    |                             | input                                                |
 * | 1    | standard output             | rows and columns of the terminal, 2 bytes each, little-endian |
 * | 2    | standard error              | the end of input                                     |
 * | 3    | the exit status, one byte   | no output is wanted                                  |
 *
 * The stream ends when what had to be cleaned up behind the container is gone.
 */

export const HEAD_BYTES = 8
export const FROM = { stdout: 1, stderr: 2, exited: 3 } as const
export const TO = { input: 0, size: 1, endOfInput: 2, noOutput: 3 } as const

export function headOf(kind: number, bytes: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES)
  head[0] = kind
  new DataView(head.buffer).setUint32(4, bytes)
  return head
}

/** The content of TO.size. */
export function sizePiece({ rows, columns }: { readonly rows: number; readonly columns: number }): Uint8Array {
  const bytes = new Uint8Array(4)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, rows, true)
  view.setUint16(2, columns, true)
  return bytes
}
