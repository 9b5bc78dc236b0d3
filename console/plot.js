// One plot of lines over time, as SVG: styled by the page's CSS and themes, as wide as its place, read
// by pointer, by arrow keys and by screen readers.

import { h, s } from './dom.js'
import { hourAndMinute, timeOfDay } from './format.js'

const HEIGHT = 168
const EDGE = { top: 10, right: 10, bottom: 24, left: 52 }
const X_STEPS_MS = [60, 120, 300, 600, 900, 1800].map((seconds) => seconds * 1000)
const LABEL_WIDTH = 64

/** 1, 2, 2.5 or 5 times a power of ten, of which at most four make up the top. */
function yStep(top, isWhole) {
  const power = 10 ** Math.floor(Math.log10(top / 4))
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((one) => one * 4 >= top * 0.999)
  return isWhole ? Math.max(1, Math.ceil(step)) : step
}

export class Plot {
  #width = 0
  #data = { time: [], lines: [] }
  #at = null

  /** lines: [{name, kind}], kind a class of the CSS; format: of a value;
   * isWhole: of things that are counted. */
  constructor({ title, lines, format, isWhole, empty }) {
    Object.assign(this, { title, lines, format, isWhole, empty })
    this.now = h('p', { class: 'plot-now' })
    this.svg = s('svg', { class: 'plot', height: HEIGHT, role: 'img', tabindex: 0, 'aria-label': title })
    this.readout = h('p', { class: 'plot-readout', 'aria-live': 'polite' })
    this.element = h('section', { class: 'card' }, h('div', { class: 'plot-head' }, h('h2', {}, title), this.now), this.svg, this.readout)
    this.svg.addEventListener('pointermove', (event) => this.#point(this.#indexAt(event.offsetX)))
    this.svg.addEventListener('pointerleave', () => this.#point(null))
    this.svg.addEventListener('blur', () => this.#point(null))
    this.svg.addEventListener('keydown', (event) => this.#key(event))
    this.observer = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width)
      if (width === this.#width) return
      this.#width = width
      this.#draw()
    })
    this.observer.observe(this.svg)
  }

  /** time: milliseconds; lines: as many lists of numbers, null where there is none; now: of each line,
   * where that is newer than its last figure. */
  show(time, lines, now = lines.map((line) => line.at(-1) ?? null)) {
    this.#data = { time, lines, now }
    this.#draw()
  }

  close() {
    this.observer.disconnect()
  }

  // ---- Reading a value ----

  #indexAt(x) {
    const { time } = this.#data
    if (time.length === 0) return null
    let best = 0
    for (let i = 1; i < time.length; i++) if (Math.abs(this.x(time[i]) - x) < Math.abs(this.x(time[best]) - x)) best = i
    return best
  }

  #key(event) {
    const { time } = this.#data
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -Infinity, End: Infinity }[event.key]
    if (step === undefined || time.length === 0) return
    event.preventDefault()
    this.#point(Math.max(0, Math.min(time.length - 1, (this.#at ?? time.length - 1) + step)))
  }

  #point(index) {
    this.#at = index
    this.#drawPointer()
  }

  #words(index) {
    return this.lines.map(({ name }, i) => {
      const value = this.#data.lines[i][index]
      return `${this.lines.length > 1 ? `${name} ` : ''}${value === null || value === undefined ? '–' : this.format(value)}`
    })
  }

  // ---- Drawing ----

  #draw() {
    const { time, lines, now } = this.#data
    const width = this.#width
    if (width === 0) return
    const values = lines.flat().filter((value) => value !== null)
    const last = time.length - 1
    this.now.replaceChildren(...(last < 0 ? [] : this.lines.map(({ name, kind }, i) => h('span', { class: this.lines.length > 1 ? `key ${kind}` : null }, h('b', {}, now[i] === null ? '–' : this.format(now[i])), this.lines.length > 1 ? ` ${name}` : ''))))
    this.svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`)
    if (values.length === 0) {
      this.svg.replaceChildren(s('text', { class: 'plot-empty', x: width / 2, y: HEIGHT / 2, 'text-anchor': 'middle' }, this.empty ?? 'no figures yet'))
      this.svg.setAttribute('aria-label', `${this.title}: no figures yet`)
      return
    }
    const from = time[0]
    const span = Math.max(time[last] - from, 60_000)
    const step = yStep(Math.max(...values) || 1, this.isWhole)
    const top = step * Math.max(1, Math.ceil((Math.max(...values) || 1) / step - 0.001))
    const bottom = HEIGHT - EDGE.bottom
    this.x = (ms) => EDGE.left + ((ms - from) / span) * (width - EDGE.left - EDGE.right)
    this.y = (value) => bottom - (value / top) * (bottom - EDGE.top)
    this.pointer = s('g', { class: 'plot-pointer' })
    this.svg.replaceChildren(this.#grid(step, top), this.#times(from, span), ...lines.map((line, i) => this.#line(time, line, this.lines[i].kind, bottom)), this.pointer)
    const peak = Math.max(...values)
    this.svg.setAttribute('aria-label', `${this.title}, ${hourAndMinute(from)} to ${hourAndMinute(time[last])}: now ${this.#words(last).join(', ')}; at most ${this.format(peak)}. Arrow keys read values.`)
    this.#drawPointer()
  }

  #grid(step, top) {
    const parts = []
    for (let value = 0; value <= top + step / 2; value += step) {
      const y = Math.round(this.y(value)) + 0.5
      parts.push(s('line', { x1: EDGE.left, x2: this.#width - EDGE.right, y1: y, y2: y, class: value === 0 ? 'base' : null }))
      parts.push(s('text', { x: EDGE.left - 8, y: y + 4, 'text-anchor': 'end' }, value === 0 ? '0' : this.format(value)))
    }
    return s('g', { class: 'plot-grid' }, parts)
  }

  #times(from, span) {
    const room = Math.max(1, Math.floor((this.#width - EDGE.left) / LABEL_WIDTH))
    const step = X_STEPS_MS.find((ms) => span / ms <= room) ?? X_STEPS_MS.at(-1)
    const parts = []
    for (let ms = Math.ceil(from / step) * step; ms <= from + span; ms += step) {
      const x = this.x(ms)
      if (x > this.#width - 20) continue
      parts.push(s('text', { x, y: HEIGHT - 6, 'text-anchor': x < EDGE.left + 16 ? 'start' : 'middle' }, hourAndMinute(ms)))
    }
    return s('g', { class: 'plot-grid' }, parts)
  }

  /** A line with gaps where there is no figure, over a faint area; a figure between two gaps is a dot. */
  #line(time, line, kind, bottom) {
    let dots = ''
    let path = ''
    let area = ''
    let start = null
    const point = (i) => `${this.x(time[i]).toFixed(1)} ${this.y(line[i]).toFixed(1)}`
    for (let i = 0; i <= line.length; i++) {
      const isThere = i < line.length && line[i] !== null
      if (isThere && start === null) {
        start = i
        path += `M${point(i)}`
        area += `M${this.x(time[i]).toFixed(1)} ${bottom}L${point(i)}`
      } else if (isThere) {
        path += `L${point(i)}`
        area += `L${point(i)}`
      } else if (start !== null) {
        if (start === i - 1) dots += `M${point(start)}h0.01`
        area += `L${this.x(time[i - 1]).toFixed(1)} ${bottom}Z`
        start = null
      }
    }
    return s('g', { class: `plot-line ${kind}` }, s('path', { class: 'area', d: area }), s('path', { class: 'line', d: path }), dots ? s('path', { class: 'dots', d: dots }) : null)
  }

  #drawPointer() {
    const { time, lines } = this.#data
    if (!this.pointer) return
    const index = this.#at === null || this.#at >= time.length ? null : this.#at
    this.readout.textContent = index === null ? '' : `${timeOfDay(time[index])}  ${this.#words(index).join('  ')}`
    if (index === null) {
      this.pointer.replaceChildren()
      return
    }
    const x = this.x(time[index])
    const dots = lines.map((line, i) => line[index] !== null && s('circle', { cx: x, cy: this.y(line[index]), r: 3.5, class: this.lines[i].kind }))
    this.pointer.replaceChildren(s('line', { x1: x, x2: x, y1: EDGE.top, y2: HEIGHT - EDGE.bottom }), ...dots.filter(Boolean))
  }
}
