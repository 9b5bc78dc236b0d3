// The small application that the random suites run: users, projects, members, todos, comments, a
// broadcast table and a table of many types, with rules of every supported kind.

export const SCHEMA = `
CREATE TABLE public.users (
  id text PRIMARY KEY, name text, is_active boolean NOT NULL DEFAULT true, settings jsonb);
CREATE TABLE public.projects (
  id bigint PRIMARY KEY, name text NOT NULL, owner_id text);
CREATE TABLE public.members (
  project_id bigint NOT NULL REFERENCES public.projects ON UPDATE CASCADE ON DELETE CASCADE,
  user_id text NOT NULL REFERENCES public.users ON UPDATE CASCADE ON DELETE CASCADE,
  role text, PRIMARY KEY (project_id, user_id));
CREATE TABLE public.todos (
  id bigint PRIMARY KEY, project_id bigint REFERENCES public.projects ON UPDATE CASCADE ON DELETE CASCADE,
  owner_id text, title text, is_done boolean NOT NULL DEFAULT false, amount numeric, due timestamptz,
  body text, length int GENERATED ALWAYS AS (length(title)) STORED);
ALTER TABLE public.todos ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE public.comments (
  id text PRIMARY KEY, todo_id bigint REFERENCES public.todos ON UPDATE CASCADE ON DELETE CASCADE,
  author_id text, body text);
ALTER TABLE public.comments REPLICA IDENTITY FULL; -- the others have DEFAULT, both are to do
CREATE TABLE public.countries (code text PRIMARY KEY, name text, area numeric(20, 4));
CREATE TYPE public.mood AS ENUM ('glad', 'so so', 'sad "quoted"');
CREATE TYPE public.point3 AS (x int, y numeric, label text);
CREATE DOMAIN public.positive AS int CHECK (value > 0);
CREATE TABLE public.gadgets (
  id uuid PRIMARY KEY, owner_id text, small smallint, big bigint, real4 real, real8 double precision,
  fixed numeric(12, 3), free numeric, raw bytea, day date, moment timestamp, instant timestamptz, span interval,
  document json, binary_document jsonb, numbers int[], texts text[], grid numeric[], mood public.mood, point public.point3,
  positive public.positive, padded char(6), address inet, bits bit varying(12), "Odd ""name" text, flag boolean);
CREATE TABLE public.unpublished (id serial PRIMARY KEY, note text);
`

export const TABLES = [
  'public.users', 'public.projects', 'public.members', 'public.todos', 'public.comments', 'public.countries', 'public.gadgets',
]

const MEMBERSHIP = `SELECT m.user_id FROM members m WHERE m.project_id = todos.project_id AND m.role <> 'banned'`

/** In place from the beginning. */
export const RULES = [
  { name: 'own todos', relation: 'todos', audience: 'SELECT todos.owner_id' },
  { name: 'project todos', relation: 'todos', audience: MEMBERSHIP },
  {
    name: 'comments', relation: 'comments',
    audience: `SELECT m.user_id FROM todos t JOIN members m ON m.project_id = t.project_id
                WHERE t.id = comments.todo_id AND m.role <> 'banned'`,
  },
  { name: 'own comments', relation: 'comments', audience: 'SELECT comments.author_id' },
  { name: 'everyone', relation: 'countries', audience: 'SELECT id FROM users' },
  { name: 'a constant', relation: 'projects', audience: `SELECT 'auditor'` },
  {
    name: 'projects', relation: 'projects',
    audience: `SELECT projects.owner_id UNION SELECT m.user_id FROM members m WHERE m.project_id = projects.id AND m.role <> 'banned'`,
  },
  {
    name: 'fellow members', relation: 'members',
    audience: `SELECT other.user_id FROM members other WHERE other.project_id = members.project_id AND other.role <> 'banned'`,
  },
  { name: 'oneself', relation: 'users', audience: 'SELECT users.id' },
  {
    name: 'profiles', relation: 'users', type: 'profile', columns: ['id', 'name'], stream: 'user/{subject}/data',
    audience: `SELECT other.id FROM users other WHERE other.is_active`,
  },
  { name: 'board', relation: 'projects', type: 'board', stream: 'board/{subject}', audience: 'SELECT projects.id' },
  { name: 'gadgets', relation: 'gadgets', audience: 'SELECT gadgets.owner_id' },
]

/** Put in, changed and taken out while the bridge runs. */
export const CHANGING_RULES = [
  {
    name: 'active users', relation: 'todos',
    audiences: [
      `SELECT u.id FROM users u WHERE u.is_active AND u.id = todos.owner_id`,
      `SELECT p.owner_id FROM projects p WHERE p.id = todos.project_id`,
      `SELECT u.id FROM users u JOIN members m ON m.user_id = u.id
        WHERE m.project_id = todos.project_id AND m.role IN ('admin', 'editor') AND u.is_active`,
    ],
  },
  {
    name: 'fellows', relation: 'users',
    audiences: [
      `SELECT b.user_id FROM members a JOIN members b ON b.project_id = a.project_id WHERE a.user_id = users.id AND b.role <> 'banned'`,
      `SELECT p.owner_id FROM members m JOIN projects p ON p.id = m.project_id WHERE m.user_id = users.id`,
    ],
  },
  {
    name: 'not the banned', relation: 'projects',
    audiences: [
      `SELECT u.id FROM users u WHERE u.is_active
          AND NOT EXISTS (SELECT 1 FROM members m WHERE m.project_id = projects.id AND m.user_id = u.id AND m.role = 'banned')`,
      `SELECT u.id FROM users u
        WHERE EXISTS (SELECT 1 FROM members m WHERE m.project_id = projects.id AND m.user_id = u.id AND (m.role = 'admin' OR m.role IS NULL))`,
    ],
  },
  {
    name: 'more comments', relation: 'comments',
    audiences: [
      `SELECT t.owner_id FROM todos t WHERE t.id = comments.todo_id`,
      `SELECT t.owner_id FROM todos t WHERE t.id = comments.todo_id AND NOT t.is_done
        UNION SELECT p.owner_id FROM todos t JOIN projects p ON p.id = t.project_id WHERE t.id = comments.todo_id`,
    ],
  },
  { name: 'another constant', relation: 'countries', audiences: [`SELECT 'auditor'`, `SELECT 'auditor' UNION SELECT 'guest'`] },
]

/** Subjects: every one may become a user, an owner, a member; two are never users. */
export const SUBJECTS = [
  'ana', 'bo', 'cy', 'a/b', '..', '.', '50%', '%2F', 'quote"d', "it's", 'back\\slash', 'sp ace', 'ümläut', '日本', '😀',
  'a?b#c', 'UPPER', 'upper', '0', 'null', '{subject}', 'auditor', 'guest',
]

export const TEXTS = [
  '', ' ', 'plain', 'quote " and \' both', 'back\\slash \\n \\u0041', 'line\nbreak\ttab\r', '50% %s %2F', '../../etc', 'naïve – “quotes”',
  '日本語', '😀 pair', '\u0001\u001f\u007f', '{"json":"inside"}', '\\x00', 'null', '-0', '\u2028\u2029', '<script>', 'a'.repeat(300),
]

export const ROLES = ['admin', 'editor', 'viewer', 'viewer', 'banned', null]
