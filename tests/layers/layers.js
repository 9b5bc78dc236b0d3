// Which layer may include what. The directions are the architecture: a header from above, from
// beside, or from a library that belongs to another layer is an error.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The layers whose headers a layer may include, beside its own. */
const BELOW = {
  base: [],
  wal2json: ['base'],
  postgres: ['base'],
  replica: ['base'],
  http: ['base'],
  publish: ['http', 'base'],
  store: ['base'],
  rules: ['replica', 'base'],
  events: ['rules', 'replica', 'base'],
  bridge: ['events', 'rules', 'replica', 'wal2json', 'postgres', 'publish', 'base'],
  doctor: ['bridge', 'postgres', 'http', 'base'],
  auth: ['base'],
  server: ['store', 'http', 'auth', 'base'],
  cli: ['doctor', 'bridge', 'server', 'auth', 'http', 'events', 'rules', 'replica', 'wal2json', 'postgres', 'publish', 'store', 'base'],
}

/** Third-party headers by the layers that may include them, in their .c files and private headers.
 * What a layer shows in include/weir/ includes none: a library stays behind its layer. */
const LIBRARIES = [
  { name: 'libpq', header: /^(libpq-fe|libpq-events|postgres_ext|pg_config\w*|libpq\/.*)\.h$/, layers: ['postgres'] },
  { name: 'LMDB', header: /^lmdb\.h$/, layers: ['replica', 'store'] },
  { name: 'libcurl', header: /^curl\//, layers: ['http'] },
  { name: 'libmicrohttpd', header: /^microhttpd\w*\.h$/, layers: ['server'] },
  { name: 'GnuTLS', header: /^gnutls\//, layers: ['server'] },
  { name: 'libpg_query', header: /^(pg_query\w*\.h|pg_query\/.*|protobuf-c\/.*)$/, layers: ['rules'] },
  { name: 'jansson', header: /^jansson\w*\.h$/, layers: ['rules', 'publish', 'auth', 'server', 'cli'] },
  { name: 'OpenSSL', header: /^openssl\//, layers: ['auth', 'server'] },
  { name: 'cjose', header: /^cjose\//, layers: ['auth'] },
]

const LIBC = new Set(
  `assert ctype endian errno fcntl fenv float getopt inttypes limits locale math netdb poll pthread
   pwd sched semaphore setjmp signal spawn stdalign stdarg stdatomic stdbool stddef stdint stdio
   stdlib stdnoreturn string strings syslog termios threads time unistd dirent ftw glob grp iconv
   malloc byteswap uchar wchar wctype execinfo`
    .split(/\s+/).map((name) => `${name}.h`),
)
const LIBC_FOLDERS = /^(sys|arpa|netinet|net|linux)\/|^(immintrin|nmmintrin|arm_acle|cpuid)\.h$/

const INCLUDE = /^[ \t]*#[ \t]*include[ \t]*(?:<([^>]+)>|"([^"]+)")/gm

/** What is wrong with one include, or null. file: {layer, isPublic, has(name)}. */
function judge(file, angled, quoted) {
  const header = angled ?? quoted
  const own = /^weir\/([^/]+)\/[^/]+\.h$/.exec(header)
  if (own) {
    if (own[1] === file.layer || BELOW[file.layer].includes(own[1])) return null
    return `${file.layer} may not include ${own[1]}`
  }
  if (quoted !== undefined) {
    if (header.includes('/')) return 'another folder is reached through weir/LAYER/ only'
    return file.has(header) ? null : 'no such header in this folder'
  }
  const library = LIBRARIES.find((candidate) => candidate.header.test(header))
  if (library === undefined) return LIBC.has(header) || LIBC_FOLDERS.test(header) ? null : 'neither libc nor a library of this project'
  if (file.isPublic) return `${library.name} must not show in include/weir`
  return library.layers.includes(file.layer) ? null : `${library.name} belongs to ${library.layers.join(' and ')}`
}

function sourcesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory()) return sourcesIn(join(folder, entry.name)).map((name) => join(entry.name, name))
    return /\.[ch](\.in)?$/.test(entry.name) ? [entry.name] : []
  })
}

/** Layers of a source tree, by the folders of src and include/weir. */
function foldersOf(root) {
  return ['src', 'include/weir'].flatMap((top) =>
    readdirSync(join(root, top), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => ({ layer: entry.name, path: join(top, entry.name), isPublic: top !== 'src' })),
  )
}

/** What CMake links: weir_layer(NAME weir_OTHER … LIBRARY …). */
function linkedLayers(root) {
  const text = readFileSync(join(root, 'src/CMakeLists.txt'), 'utf8')
  return [...text.matchAll(/^weir_layer\((\w+)([^)]*)\)/gm)].map(([, layer, rest]) => ({
    layer,
    links: [...rest.matchAll(/\bweir_(\w+)/g)].map(([, name]) => name),
  }))
}

/** Every violation in a source tree, each as "where: what is included: why not". */
export function violations(root) {
  const found = []
  for (const { layer, path, isPublic } of foldersOf(root)) {
    if (!(layer in BELOW)) {
      found.push(`${path}: is not a layer that is known here`)
      continue
    }
    for (const name of sourcesIn(join(root, path))) {
      const has = (header) => existsSync(join(root, path, header))
      for (const [, angled, quoted] of readFileSync(join(root, path, name), 'utf8').matchAll(INCLUDE)) {
        const why = judge({ layer, isPublic, has }, angled, quoted)
        if (why !== null) found.push(`${path}/${name}: ${angled ?? quoted}: ${why}`)
      }
    }
  }
  for (const { layer, links } of linkedLayers(root))
    for (const name of links)
      if (!BELOW[layer]?.includes(name)) found.push(`src/CMakeLists.txt: weir_${name}: ${layer} may not link ${name}`)
  return found
}
