-- A small application: people share projects, and a project has todos. Ids are made by who adds a row.

CREATE TABLE users (
    id text PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE projects (
    id bigint PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE members (
    project_id bigint NOT NULL REFERENCES projects,
    user_id text NOT NULL REFERENCES users,
    role text NOT NULL DEFAULT 'member',
    PRIMARY KEY (project_id, user_id)
);

CREATE TABLE todos (
    id bigint PRIMARY KEY,
    project_id bigint NOT NULL REFERENCES projects,
    title text NOT NULL,
    done boolean NOT NULL DEFAULT false
);
