import { expect, test } from 'bun:test'
import { isNearby, parseHostAddress } from './host-address.ts'

test('addresses of this machine and its neighbourhood are told from all others, in each of their forms (S242)', () => {
  const near =
    '0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 172.31.255.255 192.168.1.1 198.18.0.1 224.0.0.1 255.255.255.255 ' +
    ':: ::1 ::ffff:7f00:1 ::ffff:a00:1 ::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1:: 2002:a9fe:a9fe::1 fd00::1 fe80::1 ff02::1 2001:0:1::'
  for (const text of near.split(' ')) expect([text, isNearby(addressOf(text))]).toEqual([text, true])
  const far =
    '1.1.1.1 100.128.0.1 172.32.0.1 192.0.2.1 203.0.113.9 2001:db8::1 2606:4700::1111 ::ffff:101:101 64:ff9b::101:101 2002:101:101::'
  for (const text of far.split(' ')) expect([text, isNearby(addressOf(text))]).toEqual([text, false])
})

function addressOf(text: string) {
  const address = parseHostAddress(text)
  if (address === undefined) throw new Error(text)
  return address
}
