// Elements out of values. What a stream holds is anybody's, so text becomes text nodes and nothing
// here, or elsewhere in the console, ever parses HTML.

const SVG = 'http://www.w3.org/2000/svg'

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value)
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false))
  return element
}

export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children)
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children)

/** Makes the children of parent these, touching only those that are elsewhere: what has the focus
 * and stays, keeps it. */
export function arrange(parent, children) {
  const wanted = new Set(children)
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove()
  let place = parent.firstChild
  for (const child of children) {
    if (child === place) place = place.nextSibling
    else parent.insertBefore(child, place)
  }
}

/** Runs work once for any number of calls between two frames. */
export function perFrame(work) {
  let isDue = false
  return () => {
    if (isDue) return
    isDue = true
    requestAnimationFrame(() => {
      isDue = false
      work()
    })
  }
}
