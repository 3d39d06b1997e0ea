-- What does Matthias Klose maintain outside of the debug section, largest first?
SELECT id AS package, section, size / 1000000 AS megabytes, body ->> '$.version' AS version
FROM packages WHERE email = 'doko@debian.org' AND section <> 'debug' ORDER BY size DESC LIMIT 6
