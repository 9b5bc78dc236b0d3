// One cluster for all scenes of a suite that leave Postgres itself alone: to start one takes longer than most scenes.

import { after, before } from 'node:test'
import { Cluster } from './cluster.js'
import { Workspace } from './workspace.js'

/** Started before the first test and stopped after the last; options: of Cluster.start. Returns a function that gives it
 * to Stack.create, for one scene after the other: each has a database of its own, and its slots and roles go with it. */
export function shareCluster(name, options) {
  let workspace, cluster
  before(async () => {
    workspace = new Workspace(`${name}-cluster`)
    cluster = await Cluster.start(workspace, options)
  })
  after(() => workspace.close())
  return () => cluster
}
