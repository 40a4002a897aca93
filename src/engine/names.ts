/** Names for containers that were given none: easy to say, easy to type. */

const QUALITIES = words(
  'amber bold brisk calm clear copper coral crisp dapper early fair fleet fresh gentle glad golden grand green hale handy happy honest jolly keen kind light lively lucid mellow merry mild neat nimble noble plain proud quick quiet rapid ready rosy shiny silent silver simple smooth snug solid spry steady still sunny swift tidy tiny tranquil true upbeat vivid warm wise witty',
)
const THINGS = words(
  'acorn anchor apple arbor barley basin beacon birch bridge brook canyon cedar cinder cliff clover comet cove creek dune ember falcon fern fjord garnet glade harbor hazel heron island ivy juniper kestrel lagoon lantern larch linden maple meadow mesa mill moss oak orchard otter pebble pine poppy prairie quarry reed ridge river robin sage spruce stone summit thicket tide valley willow wren',
)

function words(text: string): readonly string[] {
  return text.split(' ')
}

/** `random` has four bytes. */
export function makeName(random: Uint8Array): string {
  const [a = 0, b = 0, c = 0, d = 0] = random
  const quality = QUALITIES[((a << 8) | b) % QUALITIES.length]
  return `${quality}_${THINGS[((c << 8) | d) % THINGS.length]}`
}
