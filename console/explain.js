// Which rules let a user see a row, and why the others do not: weir.explain, asked by the bridge.

import * as api from './api.js'
import { h } from './dom.js'

const FIELDS = [
  { name: 'subject', label: 'User (subject)', hint: 'as the rules select it' },
  { name: 'relation', label: 'Table', hint: 'as todos, or app.todos' },
  { name: 'key', label: 'Key', hint: 'as in an event: 7, or ["7","ana"]' },
]

const verdict = (isVisible) => (isVisible === null ? ['fair', 'cannot be told'] : isVisible ? ['good', 'shows it'] : ['none', 'does not'])

const wide = (name, value) => h('div', { class: 'fact wide' }, h('dt', {}, name), h('dd', {}, value))

function ruleCard({ rule, is_visible: isVisible, audience, stream, columns, reason }) {
  const [kind, words] = verdict(isVisible)
  return h(
    'li',
    { class: 'card' },
    h('div', { class: 'card-head' }, h('h3', {}, rule ?? 'No rule'), rule ? h('span', { class: `badge ${kind}` }, words) : null),
    reason ? h('p', {}, reason) : null,
    h('dl', { class: 'facts' }, audience ? wide('Audience', h('code', {}, audience)) : null, isVisible ? [wide('Stream', stream), wide('Columns', (columns ?? []).join(', '))] : null),
  )
}

function showAnswer(result, question, { rules, error }) {
  if (error) {
    result.replaceChildren(h('p', { class: 'notice' }, error))
    return
  }
  const isSeen = rules.some((rule) => rule.is_visible)
  rules.sort((a, b) => (b.is_visible === true) - (a.is_visible === true))
  result.replaceChildren(h('p', { class: `verdict ${isSeen ? 'good' : 'none'}` }, h('b', {}, question.subject), isSeen ? ' sees ' : ' does not see ', h('b', {}, `${question.relation} ${question.key}`)), h('ul', { class: 'cards plain-list' }, rules.map(ruleCard)))
}

export function explainView(main, { signal, query, replaceQuery }) {
  const inputs = Object.fromEntries(FIELDS.map(({ name }) => [name, h('input', { id: name, name, required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', value: query.get(name) ?? '', 'aria-describedby': `${name}-hint` })]))
  const button = h('button', { class: 'strong' }, 'Explain')
  const result = h('div', { role: 'status' })
  const ask = async () => {
    const question = Object.fromEntries(FIELDS.map(({ name }) => [name, inputs[name].value]))
    replaceQuery(question)
    button.disabled = true
    result.replaceChildren(h('p', { class: 'note' }, 'Asking the bridge …'))
    try {
      showAnswer(result, question, await api.explain(question, signal))
    } catch (error) {
      if (!signal.aborted) result.replaceChildren(h('p', { class: 'notice' }, error.message))
    } finally {
      button.disabled = false
    }
  }
  const onsubmit = (event) => {
    event.preventDefault()
    ask()
  }
  const field = ({ name, label, hint }) => h('div', { class: 'field' }, h('label', { for: name }, label), inputs[name], h('p', { class: 'note', id: `${name}-hint` }, hint))
  main.append(h('h1', {}, 'Who sees this row?'), h('form', { class: 'fields card', onsubmit }, FIELDS.map(field), button), result)
  if (FIELDS.every(({ name }) => inputs[name].value)) return ask()
}
