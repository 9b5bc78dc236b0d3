// A random history while daemons, disks, networks and Postgres fail at random, one after the other and
// together. In the end each user's stream is what each committed transaction calls for, exactly.
// WEIR_SEED repeats a run, WEIR_SEEDS makes so many of them.

import test from 'node:test'
import { Random, seedFromEnvironment } from '../e2e/lib/random.js'
import { POINTS } from './lib/points.js'
import { withWorld } from './lib/world.js'

const LONG = process.env.WEIR_LONG === '1'
const SEEDS = Number(process.env.WEIR_SEEDS ?? (LONG ? 100 : 2))
const ROUNDS = LONG ? 24 : 12
const first = seedFromEnvironment()

const ONE = [[3, ['bridge']], [3, ['server']], [2, ['bridge', 'server']]]
const few = (random) => random.between(0, 5)

/** name: [weight, what happens]. Each leaves the world such that revive() brings it back. */
const FAULTS = {
  async kill(world) {
    for (const name of world.random.weighted(ONE)) await world.kill(name)
  },

  async losePower(world) {
    for (const name of world.random.weighted(ONE)) {
      await world.kill(name)
      world.losePower(name)
    }
  },

  /** Dies, pauses or fails at some named step, the n-th time that it comes there; or does not come there. */
  async step(world) {
    const { random } = world
    const point = random.pick(POINTS)
    const action = random.weighted([[4, 'kill'], [1, 'pause'], [point.canFail ? 4 : 0, random.pick(['EIO', 'ENOSPC'])]])
    const environment = { WEIR_FAULT: `${point.name}:${random.between(1, 6)}=${action}` }
    world.told = environment.WEIR_FAULT
    await world.kill(point.daemon)
    await world.start(point.daemon, environment, { waits: false })
    await world.transactions(random.between(2, 8))
    if (action === 'pause') world.signal(point.daemon, 'SIGCONT')
    await world.kill(point.daemon)
    if (random.chance(0.4)) world.losePower(point.daemon)
  },

  async postgres(world) {
    for (const name of world.random.weighted([[3, []], ...ONE])) await world.kill(name)
    await world.crashPostgres()
  },

  async pause(world) {
    const name = world.random.pick(['bridge', 'server'])
    world.signal(name, 'SIGSTOP')
    await world.transactions(few(world.random))
    if (world.random.chance(0.3)) await world.kill(name)
    world.signal(name, 'SIGCONT')
  },

  async network(world) {
    const { random } = world
    const proxy = world.proxies[random.pick(['postgres', 'server'])]
    const how = random.pick(['cut', 'reset', 'silence', 'slow', 'refuse', 'drop idle'])
    world.told = how
    if (how === 'cut') proxy.cut()
    else if (how === 'reset') proxy.reset()
    else if (how === 'silence') proxy.fallSilent()
    else if (how === 'slow') proxy.slowDown(random.between(1, 500))
    else if (how === 'drop idle') proxy.dropIdle(random.between(1, 50))
    else {
      proxy.refuse()
      proxy.reset()
    }
    await world.transactions(few(random))
    if (how === 'silence' && random.chance(0.5)) proxy.reset()
    proxy.heal()
  },
}

const WEIGHTS = [[3, 'kill'], [3, 'losePower'], [6, 'step'], [1, 'postgres'], [2, 'pause'], [3, 'network']]

async function scene(world, counts) {
  const { random } = world
  await world.begin()
  for (let round = 0; round < ROUNDS; round++) {
    await world.transactions(few(random))
    const name = random.weighted(WEIGHTS)
    world.told = ''
    await FAULTS[name](world)
    counts[name] = (counts[name] ?? 0) + 1
    world.happened.push(`${name} ${world.told}`)
    if (random.chance(0.7)) await world.revive()
    if (round % 6 === 5) await world.verify()
  }
  return world.verify()
}

const counts = {}
for (let seed = first; seed < first + SEEDS; seed++) {
  test(`random faults, seed ${seed}`, async () => {
    const random = new Random(seed + 7)
    const bridgeArgs = ['--transaction-memory', random.pick(['1', '4K', '16M']), '--batch-size', random.pick(['1K', '64K', '4M'])]
    await withWorld('faults', seed, (world) => scene(world, counts), { bridgeArgs })
  })
}
test.after(() => console.log(`WEIR_SEED=${first} WEIR_SEEDS=${SEEDS}: ${JSON.stringify(counts)}`))
