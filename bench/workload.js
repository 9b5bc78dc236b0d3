// What the benchmarks write: rows of 1,000 owners, in bulk, scattered, and one at a time.

export const USERS = 1000

export const SCHEMA = `
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, ${USERS}) i;
CREATE TABLE items (
  id bigint PRIMARY KEY, owner_id int NOT NULL, project_id int, title text NOT NULL, note text,
  is_done boolean NOT NULL DEFAULT false, amount numeric(10, 2), changed_at timestamptz NOT NULL DEFAULT now());
-- Rows go in, are changed and are written one by one; every transaction commits by itself.
CREATE PROCEDURE write_items(inserts int, updates int, singles int) LANGUAGE plpgsql AS $$
DECLARE
  batch int := 1000;
BEGIN
  FOR i IN 0 .. inserts / batch - 1 LOOP
    INSERT INTO items (id, owner_id, project_id, title, note, amount)
    SELECT n, n % ${USERS} + 1, n % 97, 'item number ' || n, 'a note of ordinary length about item ' || n, n / 7.0
      FROM generate_series(i * batch + 1, (i + 1) * batch) n;
    COMMIT;
  END LOOP;
  FOR i IN 0 .. updates / batch - 1 LOOP
    UPDATE items SET note = 'changed in batch ' || i, is_done = NOT is_done, changed_at = now()
     WHERE id IN (SELECT (n * 7919 + i * 104729::bigint) % inserts + 1 FROM generate_series(1, batch) n);
    COMMIT;
  END LOOP;
  FOR i IN 1 .. singles LOOP
    UPDATE items SET title = 'touched ' || i, changed_at = now() WHERE id = (i * 7919::bigint) % inserts + 1;
    COMMIT;
  END LOOP;
END $$;`

export const TABLES = ['public.users', 'public.items']
export const RULES = [{ name: 'own items', relation: 'items', audience: 'SELECT items.owner_id' }]

/** Calls the procedure outside a transaction, so that it may commit. */
export async function writeItems(db, { inserts, updates, singles }) {
  await db.query('SET synchronous_commit = off')
  await db.query(`CALL write_items(${inserts}, ${updates}, ${singles})`)
  await db.query('RESET synchronous_commit')
  await db.query('CHECKPOINT')
}

export const changesOf = ({ inserts, updates, singles }) => inserts + updates + singles

/** One committed row per call: (id, owner) → promise. db: a client or a pool. */
export function writeOneRow(db) {
  return (id, owner) => db.query({
    name: 'one row',
    text: `INSERT INTO items (id, owner_id, project_id, title, note, amount) VALUES ($1, $2, 1, 'a title', 'a note of ordinary length', 1.50)`,
    values: [id, owner],
  })
}
