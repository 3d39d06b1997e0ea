-- Which games for the terminal are written in Perl?
SELECT id AS package, body ->> '$.summary' AS summary
FROM packages
WHERE section = 'games'
  AND EXISTS (SELECT 1 FROM json_each(body, '$.tags.implemented-in') WHERE value = 'perl')
  AND EXISTS (SELECT 1 FROM json_each(body, '$.tags.interface') WHERE value IN ('text-mode', 'commandline'))
ORDER BY id
