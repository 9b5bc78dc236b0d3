-- Who may see what: after schema.sql and `weir install`.
--
-- Each audience is a SELECT of subjects, here of user ids, about one row of the relation, which it
-- names. The row goes to the stream of each subject, user/{subject}/data.

ALTER PUBLICATION weir ADD TABLE users, projects, members, todos;

INSERT INTO weir.rules (name, relation, audience) VALUES
    ('own projects', 'projects',
     'SELECT m.user_id FROM members m WHERE m.project_id = projects.id AND m.role <> ''banned'''),

    ('todos of own projects', 'todos',
     'SELECT m.user_id FROM members m WHERE m.project_id = todos.project_id AND m.role <> ''banned'''),

    ('members of own projects', 'members',
     'SELECT m.user_id FROM members m WHERE m.project_id = members.project_id AND m.role <> ''banned'''),

    ('oneself', 'users',
     'SELECT users.id'),

    ('people in own projects', 'users',
     'SELECT mine.user_id
        FROM members theirs JOIN members mine ON mine.project_id = theirs.project_id
       WHERE theirs.user_id = users.id AND mine.role <> ''banned''');
