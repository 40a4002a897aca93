/** Sends the name server at 127.0.0.11 packets that are questions but for some bytes, in the network namespace that it was started in. */

const TOTAL = 200_000
/** Between two of them a question that is whole is answered, so that none is lost for want of room. */
const AT_ONCE = 100

/** xorshift32: the same packets each time. */
let state = 0x2545f491
function random(below: number): number {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % below
}

const NAMES = [
  'fuzzed',
  'fuzzed.front',
  '2.0.31.172.in-addr.arpa',
  `${'0.'.repeat(32)}ip6.arpa`,
  'a'.repeat(63),
  '..',
  '',
]

function question(id: number, name: string, type: number): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  const head = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, type, 0, 1])])
}

function spoilt(): Buffer {
  const packet = question(random(65_536), NAMES[random(NAMES.length)] ?? '', [1, 12, 28, 255, 6][random(5)] ?? 1)
  // Not a whole question to pass on: those wait for a server.
  packet[2] = random(2) === 0 ? 1 : random(256)
  for (let round = random(4); round > 0; round--) packet[random(packet.length)] = random(256)
  const kind = random(8)
  if (kind === 0) return packet.subarray(0, random(packet.length))
  if (kind === 1) return Buffer.concat([packet, Buffer.alloc(random(1200), random(256))])
  return kind === 2 ? Buffer.concat([packet.subarray(0, 12), Buffer.from(Array(300).fill(0xc0))]) : packet
}

let answered: () => void = () => undefined
const socket = await Bun.udpSocket({
  connect: { hostname: '127.0.0.11', port: 53 },
  socket: {
    data(_, reply) {
      if (reply.length >= 2 && reply[0] === 0xff && reply[1] === 0xfe) answered()
    },
  },
})

for (let sent = 0; sent < TOTAL; sent += AT_ONCE) {
  for (let count = 0; count < AT_ONCE; count++) {
    const packet = spoilt()
    if (packet[0] === 0xff) packet[0] = 0
    socket.send(packet)
  }
  const { promise, resolve } = Promise.withResolvers<void>()
  answered = resolve
  // It may be lost among the others.
  const again = setInterval(() => socket.send(question(0xfffe, 'fuzzed', 1)), 50)
  socket.send(question(0xfffe, 'fuzzed', 1))
  await promise
  clearInterval(again)
}
console.log(`sent ${TOTAL}, answered`)
socket.close()
