// The tables of bench/run cost.

import { median, ratio, table, whole } from './report.js'

const micro = (value) => `${value.toFixed(1)} µs`

/** One line a world: medians, and the median of the rounds' ratios to the first world of the group. */
function group({ head, worlds }, results) {
  const [first] = worlds[0]
  const lines = worlds.map(([name, , title]) => {
    const cells = ['published', 'durable'].flatMap((what) => [
      micro(median(results[name].map((each) => each[what]))),
      ratio(median(results[name].map((each, round) => each[what] / results[first][round][what]))),
    ])
    return [title, ...cells]
  })
  return table([head, 'until it is published', 'ratio', 'until it is durable', 'ratio'], lines)
}

function broadcast({ head, worlds }, results) {
  return table([head, 'until it is published', 'of that for each user'], worlds.map(([name, settings, title]) => {
    const value = median(results[name].map((each) => each.published))
    return [title, micro(value), `${(value / settings.active).toFixed(2)} µs`]
  }))
}

export function costReport({ plan, rounds, results, machine, load, versions }) {
  const [users, rows, rules, everybody] = plan.groups
  return `## What one change costs

Written by \`bench/run cost\`: processor time of \`weir bridge\` for one row change, medians of ${rounds} rounds. All worlds run side by
side and take turns, ${whole(users.worlds[0][1].changes)} updates of rows here and there in a turn, a hundred in a transaction; a ratio is the median of the rounds'
ratios to the first line. *Published* is with the stream server; *durable* has the checkpoint of the replica in it, which writes each page that
was changed once: with few rows many changes share a page. Machine: ${machine}; load in the minute before: ${load}. ${versions.join('; ')}.

A row is seen by the ten members of its project, of ever more users and projects:

${group(users, results)}

The same with ever more rows:

${group(rows, results)}

Rules on one table, each with a condition \`items.kind = '…'\` of its own, of which one holds for a row:

${group(rules, results)}

A row that everybody who is active sees:

${broadcast(everybody, results)}
`
}
