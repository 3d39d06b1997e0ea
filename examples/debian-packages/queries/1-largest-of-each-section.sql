-- Which package is the largest of its section, once installed?
SELECT section, id AS package, max(size) / 1000000 AS megabytes, count(*) AS packages
FROM packages GROUP BY section ORDER BY megabytes DESC LIMIT 8
