// The tables of bench/run cost.

import { median, ratio, table, whole } from './report.js'

const micro = (value) => `${value.toFixed(1)} µs`

/** One line a world: medians, and the median of the rounds' ratios to the first world of the group. */
function growth(unit, { worlds, turns }, turn, results) {
  const { changes } = turns.find(({ name }) => name === turn)
  const of = (world) => results[`${world.name} ${turn}`]
  const lines = worlds.map((world) => {
    const measured = ['published', 'durable', 'server'].flatMap((what) => [
      micro(median(of(world).map((each) => each[what]))),
      ratio(median(of(world).map((each, round) => each[what] / of(worlds[0])[round][what]))),
    ])
    return [`${whole(world.size)} ${unit}`, ...measured, whole(1e6 / median(of(world).map((each) => each.clock)))]
  })
  return table([`${whole(changes)} changes`, 'bridge, published', 'ratio', 'bridge, durable', 'ratio', 'server', 'ratio', 'changes/s'], lines)
}

function broadcast({ worlds }, results) {
  return table(['broadcast', 'bridge, published', 'of that for each user', 'server', 'of that for each user'], worlds.map(({ name, size }) => {
    const cells = ['published', 'server'].flatMap((what) => {
      const value = median(results[`${name} all`].map((each) => each[what]))
      return [micro(value), `${(value / size).toFixed(2)} µs`]
    })
    return [`${whole(size)} users`, ...cells]
  }))
}

const SECTIONS = {
  users: (group, results) => `### Users

A row is seen by the ten members of its project, of ever more users and projects; there are ${whole(group.worlds[0].settings.rows)} rows. First the changes go to the same
${whole(group.turns[0].among)} rows, and so to as many users, in every line; then to all rows, and so to ever more users and streams.

${growth('users', group, 'same', results)}

${growth('users', group, 'all', results)}
`,
  rows: (group, results) => `### Rows

First the changes go to ${whole(group.turns[0].among)} rows out of ever more; then to all.

${growth('rows', group, 'same', results)}

${growth('rows', group, 'all', results)}
`,
  rules: (group, results) => `### Rules

Rules on one table, each with a condition \`items.kind = '…'\` of its own, of which one holds for a row:

${growth('rules', group, 'all', results)}
`,
  broadcast: (group, results) => `### Broadcast

A row that everybody who is active sees:

${broadcast(group, results)}
`,
}

export function costReport({ groups, rounds, results, machine, load, versions }) {
  return `## What one change costs

Written by \`bench/run cost\`: processor time of \`weir bridge\` and \`weir serve\` for one row change, medians of ${rounds} rounds. The worlds of a table run
side by side and take turns; a ratio is the median of the rounds' ratios to the first line. In a turn the bridge is stopped while the updates are
committed, rows here and there, a hundred in a transaction, and then catches up: its steady state under load. *Published* is with the stream
server; *durable* has the checkpoint of the replica in it, *server* the one of the streams. Changes a second are by the clock, until they
are published, and have Postgres's decoding in them. That the same work takes longer where it goes to ever more *different* rows and streams is
not instructions (8 % more from 1,000 to 1,000,000 rows, 10 % from 1,000 to 1,000,000 users, none from 10 to 1,000 rules, as callgrind counts them) but
memory that is in no cache and pages to be written: [decisions/cost.md](decisions/cost.md). Machine: ${machine}; load in the minute before: ${load}. ${versions.join('; ')}.

${groups.map((group) => SECTIONS[group.name](group, results)).join('\n')}`
}
