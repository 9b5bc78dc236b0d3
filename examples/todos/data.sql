-- Ana has two projects; Bo has none yet.

INSERT INTO users VALUES ('ana', 'Ana'), ('bo', 'Bo'), ('cy', 'Cy');
INSERT INTO projects VALUES (1, 'Garden'), (2, 'Party for Bo');
INSERT INTO members VALUES (1, 'ana', 'owner'), (2, 'ana', 'owner');
INSERT INTO todos VALUES
    (1, 1, 'Dig the bed'),
    (2, 1, 'Water the tomatoes'),
    (3, 1, 'Buy balloons');
